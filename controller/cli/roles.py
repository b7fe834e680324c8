"""`homeport role`: what tasks may do with the credentials of their roles."""

from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from controller.cli.client import Answer, Client
from controller.cli.options import data_dir_option, output_option
from controller.cli.output import age, print_json, print_table
from controller.cli.profile import load_profile


@click.group(short_help="Say what tasks may do with the credentials of their roles.")
def role() -> None:
    """Say what tasks may do with the credentials of their roles.

    A task whose definition names a taskRoleArn gets short-lived credentials for it, which SDKs in its
    containers find by themselves. What they permit follows from the role's name, the part of the ARN after
    the last /, and never reaches beyond the task's own cluster. A role that is not set here permits nothing.

    \b
    Examples:
      homeport role set dashboard --allow viewer
      homeport role set starter --allow viewer --allow RunTask,StopTask --pass worker
      homeport role set uploader --assume-aws arn:aws:iam::123456789012:role/uploader
      homeport role list
    """


@role.command(name="set", short_help="Define a role, or define it anew.")
@click.argument("name")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="WHAT",
    help="viewer (sees the cluster), deployer (sees it, and runs, changes and ends tasks and services), or "
    "operations of ECS by name; can be given several times, or as a list with commas.",
)
@click.option(
    "--pass",
    "passes",
    multiple=True,
    metavar="ROLE",
    help="Another role that tasks which this one starts may have; can be given several times.",
)
@click.option(
    "--assume-aws",
    "assumed_arn",
    default="",
    metavar="ARN",
    help="Give tasks credentials of this AWS role, which the controller assumes with its AWS profile.",
)
@data_dir_option
def set_(
    name: str, allowed: Sequence[str], passes: Sequence[str], assumed_arn: str, data_dir: Path | None
) -> None:
    """Define a role, or define it anew.

    Tasks started with a role's credentials have that role, a role that it may pass on, or none. They may use
    every secret: give deployer, RunTask and the like only to code that may know them all.
    """
    words = [word.strip() for given in allowed for word in given.split(",") if word.strip()]
    client = Client(load_profile(data_dir))
    answer = client.homeport(
        "PutTaskRole", name=name, allowed=words, passes=list(passes), assumedArn=assumed_arn
    )
    found = answer["role"]
    operations = len(found["operations"])
    click.echo(f"role {name} permits {operations} operation{'' if operations == 1 else 's'} in its cluster")


@role.command(name="list", short_help="List the roles that are set.")
@data_dir_option
@output_option
def list_(data_dir: Path | None, output: str) -> None:
    """List the roles that are set, with what they permit."""
    found = Client(load_profile(data_dir)).homeport("ListTaskRoles")
    if output == "json":
        print_json(found)
        return
    now = SystemClock().now()
    headings = ["ROLE", "PERMITS", "PASSES", "AWS ROLE", "CHANGED"]
    print_table(headings, [_row(entry, now) for entry in found["roles"]])


def _row(entry: Answer, now: float) -> list[str]:
    permits, passes = ",".join(entry["allowed"]) or "nothing", ",".join(entry["passes"]) or "-"
    return [entry["name"], permits, passes, entry["assumedArn"] or "-", age(entry["changedAt"], now)]


@role.command(name="rm", short_help="Remove roles.")
@click.argument("names", nargs=-1, required=True)
@data_dir_option
def rm(names: Sequence[str], data_dir: Path | None) -> None:
    """Remove roles. Tasks that have them keep credentials that permit nothing, at once."""
    client = Client(load_profile(data_dir))
    for name in names:
        client.homeport("DeleteTaskRole", name=name)
        click.echo(f"role {name} removed")
