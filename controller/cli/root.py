"""The top of the `homeport` command. Each subcommand is a module of its own, loaded when it is needed."""

import importlib

import click

from controller import __version__

_COMMANDS = {
    "up": "controller.cli.up:up",
    "controller": "controller.cli.processes:controller",
    "agent": "controller.cli.processes:agent",
    "env": "controller.cli.env:env",
    "agent-config": "controller.cli.agent_config:agent_config",
    "ps": "controller.cli.ps:ps",
    "services": "controller.cli.services:services",
    "instances": "controller.cli.instances:instances",
    "disk": "controller.cli.disk:disk",
    "login": "controller.cli.login:login",
    "wire": "controller.cli.wire:wire",
    "tls": "controller.cli.tls:tls",
    "user": "controller.cli.users:user",
    "role": "controller.cli.roles:role",
    "token": "controller.cli.tokens:token",
    "secret": "controller.cli.secrets:secret",
    "completion": "controller.cli.completion:completion",
}


class LazyGroup(click.Group):
    """A group that imports the module of a subcommand when somebody asks for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="homeport")
@click.option(
    "--profile",
    envvar="HOMEPORT_PROFILE",
    metavar="NAME",
    help="The controller to use, as 'homeport login --name NAME' has made it known [HOMEPORT_PROFILE].",
)
def main(profile: str | None) -> None:
    """An ECS you own: run containers on your own machines with ECS's own tools.

    \b
    Start here:
      homeport up                  controller and agent on this machine, in the foreground
      eval "$(homeport env)"       then, in another shell: aws ecs list-clusters
      homeport ps                  what runs

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not converged in time.
    """
