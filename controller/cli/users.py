"""`homeport user`: who may do what, by their access keys."""

import re
from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from controller.cli.client import Answer, Client
from controller.cli.options import data_dir_option, output_option
from controller.cli.output import age, print_json, print_table
from controller.cli.profile import load_profile

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.group(short_help="Say who may do what, by their access keys.")
def user() -> None:
    """Say who may do what, by their access keys.

    \b
    administrator  everything
    deployer       sees everything, runs, changes and ends tasks and services
    viewer         sees everything but secrets
    agent          what an agent does, in one cluster

    The secret of a key is shown when the key is made, and never again.

    \b
    Examples:
      homeport user create alice --role deployer
      homeport user create board --role viewer --cluster lab
      homeport user rotate alice --keep 1d
      homeport user disable alice
    """


def duration(text: str) -> int:
    """`90s`, `15m`, `2h` or `1d`, as seconds. Raises `click.BadParameter`."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no duration such as 90s, 15m, 2h or 1d")
    return int(match[1]) * _UNITS[match[2]]


@user.command(short_help="Make a user, and show its access key.")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["administrator", "deployer", "viewer", "agent"]),
    required=True,
    help="What it may do.",
)
@click.option("--cluster", metavar="NAME", help="The only cluster that it may do it in.")
@data_dir_option
@output_option
def create(name: str, role: str, cluster: str | None, data_dir: Path | None, output: str) -> None:
    """Make a user, and show its access key: the secret is shown this once."""
    client = Client(load_profile(data_dir))
    limits = {"cluster": cluster} if cluster else {}
    _show_key(client.homeport("CreateUser", name=name, role=role, **limits), output)


@user.command(name="list", short_help="List the users.")
@data_dir_option
@output_option
def list_(data_dir: Path | None, output: str) -> None:
    """List the users. Keys that the controller made for itself are not among them."""
    found = Client(load_profile(data_dir)).homeport("ListUsers")
    if output == "json":
        print_json(found)
        return
    now = SystemClock().now()
    headings = ["USER", "ROLE", "CLUSTER", "STATUS", "KEY", "KEY AGE", "FORMER KEY"]
    print_table(headings, [_row(each, now) for each in found["users"]])


@user.command(short_help="Give a user a new access key.")
@click.argument("name")
@click.option(
    "--keep",
    type=duration,
    default="0s",
    show_default=True,
    metavar="DURATION",
    help="How long the former key goes on, so that whoever uses it can change over: 15m, 2h, 1d.",
)
@data_dir_option
@output_option
def rotate(name: str, keep: int, data_dir: Path | None, output: str) -> None:
    """Give a user a new access key: the secret is shown this once. A disabled user is enabled with it."""
    client = Client(load_profile(data_dir))
    _show_key(client.homeport("RotateUser", name=name, keepFormerSeconds=keep), output)


@user.command(short_help="Let none of a user's keys be good any more.")
@click.argument("name")
@data_dir_option
def disable(name: str, data_dir: Path | None) -> None:
    """Let none of a user's keys be good any more, at once. 'homeport user rotate' lets the user in again."""
    Client(load_profile(data_dir)).homeport("DisableUser", name=name)
    click.echo(f"user {name} is disabled")


def _row(entry: Answer, now: float) -> list[str]:
    former = entry["formerKeyEndsAt"]
    return [
        entry["name"],
        entry["role"],
        entry["cluster"] or "all",
        "enabled" if entry["enabled"] else "disabled",
        entry["accessKeyId"],
        age(entry["keyCreatedAt"], now),
        f"ends in {age(now, former)}" if former else "-",
    ]


def _show_key(answer: Answer, output: str) -> None:
    if output == "json":
        print_json(answer)
        return
    entry = answer["user"]
    where = f" in cluster {entry['cluster']}" if entry["cluster"] else ""
    click.echo(f"user               {entry['name']}, {entry['role']}{where}")
    click.echo(f"access key id      {answer['accessKeyId']}")
    click.echo(f"secret access key  {answer['secretAccessKey']}")
    click.echo("The secret is not shown again.", err=True)
