"""`homeport completion`: make the shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from controller.cli.errors import CommandFailed
from controller.cli.root import main


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      eval "$(homeport completion bash)"                                     in ~/.bashrc
      eval "$(homeport completion zsh)"                                      in ~/.zshrc
      homeport completion fish > ~/.config/fish/completions/homeport.fish
    """
    script = get_completion_class(shell)
    if script is None:
        raise CommandFailed(f"there is no completion for {shell}")
    click.echo(script(main, {}, "homeport", "_HOMEPORT_COMPLETE").source())
