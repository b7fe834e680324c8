"""`homeport token`: with what machines join a cluster."""

import time
from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from agent.protocol.joining import parse_token
from controller.cli.client import Answer, Client
from controller.cli.join_line import join_line
from controller.cli.options import data_dir_option, output_option
from controller.cli.output import age, print_json, print_table
from controller.cli.profile import load_profile

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOOPBACK = ("//127.", "//localhost", "//[::1]")


class Lifetime(click.ParamType[float]):
    """A duration such as 30m, 12h or 7d, in seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        number, unit = value[:-1], value[-1:]
        if not (number.isascii() and number.isdigit() and unit in _UNITS_S):
            self.fail(f"{value!r} is no duration; take for example 30m, 12h or 7d", param, ctx)
        return float(int(number) * _UNITS_S[unit])


@click.group(short_help="Make, list and revoke what machines join a cluster with.")
def token() -> None:
    """Make, list and revoke what machines join a cluster with.

    A token says where the controller is and how to know it, and is good for so many machines and so long. A
    machine exchanges it, once, for credentials of its own, which act for that container instance alone, are
    renewed by its agent, and end after 30 days without one.

    \b
    Examples:
      homeport token create
      homeport token create --cluster lab --ttl 1d --uses 20
      homeport token revoke 0123456789abcdef
    """


@token.command(short_help="Make a token.")
@click.option("--cluster", metavar="NAME", help="The cluster to join [default].")
@click.option("--ttl", type=Lifetime(), default="1h", show_default=True, help="How long it is good.")
@click.option("--uses", type=int, default=1, show_default=True, help="How many machines may join with it.")
@click.option("--endpoint", metavar="URL", help="The controller as the joining machines reach it.")
@data_dir_option
@output_option
def create(
    cluster: str | None, ttl: float, uses: int, endpoint: str | None, data_dir: Path | None, output: str
) -> None:
    """Make a token and print it. It is shown this once."""
    members = {"cluster": cluster, "endpoint": endpoint}
    client = _client(data_dir)
    made = client.homeport(
        "CreateJoinToken",
        lifetimeS=ttl,
        uses=uses,
        **{name: value for name, value in members.items() if value},
    )
    if output == "json":
        print_json(made)
    else:
        click.echo(made["token"])
    _explain(made, join_line(client, made["endpoint"], made["token"]))


def _explain(made: Answer, line: str) -> None:
    """What to do with a token, beside the token itself, which scripts read."""
    machines = "one machine" if made["uses"] == 1 else f"{made['uses']} machines"
    _note(f"good until {_at(made['expiresAt'])} for {machines}; on each run: homeport agent --token TOKEN")
    if line:
        _note(f"or, where Homeport is to be installed, or runs as a service, paste this line:\n{line}")
    if any(part in made["endpoint"] for part in _LOOPBACK):
        _note(
            f"note that {made['endpoint']} is reached from this machine alone; let the controller listen on "
            "the network (--listen 0.0.0.0:8480 --tls auto), or say with --endpoint how others reach it"
        )
    elif not made["endpoint"].startswith("https:"):
        _note(
            "note that the exchange goes over plain HTTP, where others can read it and nobody can tell "
            "whether it is this controller that answers; serve HTTPS with --tls auto"
        )
    elif not parse_token(made["token"]).fingerprint:
        _note("note that the joining machine's own authorities must vouch for the controller")


def _note(text: str) -> None:
    click.echo(f"homeport: {text}", err=True)


@token.command(name="list", short_help="List tokens, and what was given for them.")
@data_dir_option
@output_option
def list_(data_dir: Path | None, output: str) -> None:
    """List tokens and the credentials of container instances, without their secrets."""
    found = _client(data_dir).homeport("ListJoinTokens")
    if output == "json":
        print_json(found)
        return
    now = SystemClock().now()
    print_table(
        ["TOKEN", "CLUSTER", "STATE", "USED", "AGE", "GOOD UNTIL"],
        [_token_row(entry, now) for entry in found["joinTokens"]],
    )
    if found["credentials"]:
        click.echo()
        print_table(
            ["CONTAINER INSTANCE", "CLUSTER", "STATE", "ACCESS KEY", "AGE", "GOOD UNTIL"],
            [_credentials_row(entry, now) for entry in found["credentials"]],
        )


@token.command(short_help="Revoke a token, or the credentials of a container instance.")
@click.argument("name", metavar="TOKEN|INSTANCE")
@click.option("--cluster", metavar="NAME", help="The cluster of the container instance [default].")
@data_dir_option
def revoke(name: str, cluster: str | None, data_dir: Path | None) -> None:
    """Revoke a token by its id, or the credentials of a container instance by its id or ARN.

    With a revoked token nobody joins any more; machines that did stay. An instance whose credentials are
    revoked is cut off at once, and its containers run on; its machine joins again with a new token, as a new
    container instance.
    """
    client = _client(data_dir)
    if len(name) == _TOKEN_ID_LENGTH:
        client.homeport("RevokeJoinToken", id=name)
        click.echo(f"token {name} is revoked")
        return
    in_arn = name.split("/")[-2] if name.count("/") > 1 else None
    members = {"cluster": cluster or in_arn} if cluster or in_arn else {}
    found = client.homeport("RevokeAgentCredentials", containerInstance=name, **members)
    click.echo(f"the credentials of {found['containerInstanceArn']} are revoked")


_TOKEN_ID_LENGTH = 16


def _client(data_dir: Path | None) -> Client:
    return Client(load_profile(data_dir))


def _token_row(entry: Answer, now: float) -> list[str]:
    used = f"{entry['usedCount']}/{entry['uses']}"
    created = age(entry["createdAt"], now)
    return [entry["id"], entry["cluster"], entry["state"], used, created, _at(entry["expiresAt"])]


def _credentials_row(entry: Answer, now: float) -> list[str]:
    cluster, instance = entry["containerInstanceArn"].split("/")[-2:]
    created = age(entry["createdAt"], now)
    return [instance, cluster, entry["state"], entry["accessKeyId"], created, _at(entry["expiresAt"])]


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
