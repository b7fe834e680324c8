"""`homeport secret`: the controller's own secrets. Values go in; nothing here shows one."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from controller.cli.client import Answer, Client
from controller.cli.errors import CommandFailed, ExitCode
from controller.cli.options import data_dir_option, output_option
from controller.cli.output import age, print_json, print_table
from controller.cli.profile import load_profile


@click.group(short_help="Keep the values that tasks get as secrets.")
def secret() -> None:
    """Keep the values that tasks get as secrets.

    The controller keeps them encrypted. A task definition names one in secrets, in secretOptions or in
    repositoryCredentials: as a parameter by its name or ARN, or as a secret by its ARN, which may go on with
    a JSON key, a stage and a version (ARN:KEY:AWSPREVIOUS:). A secret whose name ends in .env is an
    environment file, too: arn:aws:s3:::homeport/NAME.env. Tasks get the value that holds when they start.

    \b
    Examples:
      homeport secret set db/password
      openssl rand -hex 32 | homeport secret set session-key
      homeport secret set web.env < web.env
      homeport secret list
    """


@secret.command(name="set", short_help="Give a secret a value, read from standard input or a prompt.")
@click.argument("name")
@click.option(
    "--value",
    help="The value itself. Other users of this machine can see it while the command runs, and the shell "
    "remembers it: better leave this out.",
)
@data_dir_option
def set_(name: str, value: str | None, data_dir: Path | None) -> None:
    """Give a secret a value, read from standard input or a prompt.

    One line's end after the value is left out. The value before it stays known as AWSPREVIOUS.
    """
    client = Client(load_profile(data_dir))
    given = value if value is not None else _read_value(name)
    found = client.homeport("PutSecret", name=name, value=given)["secret"]
    click.echo(f"{found['name']} is set: {found['arn']}")


def _read_value(name: str) -> str:
    if _is_terminal():
        return str(click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True))
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError:
        raise CommandFailed(f"the value of {name} is not text", "give it in base64", ExitCode.USAGE) from None
    return text.removesuffix("\n")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


@secret.command(name="list", short_help="List secrets, without their values.")
@data_dir_option
@output_option
def list_(data_dir: Path | None, output: str) -> None:
    """List secrets, without their values."""
    found = Client(load_profile(data_dir)).homeport("ListSecrets")
    if output == "json":
        print_json(found)
        return
    now = SystemClock().now()
    print_table(["SECRET", "VERSIONS", "CHANGED", "ARN"], [_row(entry, now) for entry in found["secrets"]])


def _row(entry: Answer, now: float) -> list[str]:
    return [entry["name"], str(len(entry["versions"])), age(entry["changedAt"], now), entry["arn"]]


@secret.command(name="rm", short_help="Remove secrets.")
@click.argument("names", nargs=-1, required=True)
@data_dir_option
def rm(names: Sequence[str], data_dir: Path | None) -> None:
    """Remove secrets with all their versions. Tasks that run keep what they have; new ones do not start."""
    client = Client(load_profile(data_dir))
    for name in names:
        client.homeport("DeleteSecret", name=name)
        click.echo(f"secret {name} removed")
