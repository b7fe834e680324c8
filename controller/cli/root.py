"""The top of the `homeport` command: its options, and its subcommands, each loaded only when it is called."""

import click

from controller import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="homeport")
def main() -> None:
    """An ECS you own: run containers on your own machines with ECS's own tools."""
