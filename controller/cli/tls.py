"""`homeport tls`: how connections to the controller are protected."""

from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from controller.cli.client import Answer, Client
from controller.cli.errors import CommandFailed
from controller.cli.options import data_dir_option, output_option
from controller.cli.output import print_json
from controller.cli.profile import load_profile

_DAY_S = 86_400.0


@click.group(short_help="See and change how connections to the controller are protected.")
def tls() -> None:
    """See and change how connections to the controller are protected.

    \b
    Examples:
      homeport tls show
      homeport tls authority > ca.pem
      homeport tls rotate
    """


@tls.command(short_help="Show the fingerprints of the authorities to trust.")
@data_dir_option
@output_option
def show(data_dir: Path | None, output: str) -> None:
    """Show the fingerprints of the authorities to trust, the present one first."""
    found = _client(data_dir).homeport("DescribeTls")
    if output == "json":
        print_json(found)
        return
    _print(found)


@tls.command(short_help="Print the certificates of the authorities to trust.")
@data_dir_option
def authority(data_dir: Path | None) -> None:
    """Print the certificates of the authorities to trust, in PEM, as AWS_CA_BUNDLE takes them."""
    found = _client(data_dir).homeport("DescribeTls")
    if not found["authorities"]:
        raise CommandFailed(
            "this controller has no authority of its own",
            "serve with --tls auto, or name the one of your certificate with --tls-authority",
        )
    click.echo("".join(each["certificate"] for each in found["authorities"]), nl=False)


@tls.command(short_help="Let a new authority follow the present one.")
@click.option(
    "--forget-former",
    is_flag=True,
    help="The present authority's key may be known to others: nothing leads from it to the new one. Agents "
    "and clients that connect anew must be given the new fingerprint.",
)
@data_dir_option
@output_option
def rotate(forget_former: bool, data_dir: Path | None, output: str) -> None:
    """Let a new authority follow the present one.

    Nobody is cut off: whoever trusts the former authority trusts the new one through it, for 400 days, unless
    it is forgotten.
    Homeport's agents learn the new one within an hour; give it to others with 'homeport tls authority'.
    """
    found = _client(data_dir).homeport("RotateTlsAuthority", forgetFormer=forget_former)
    if output == "json":
        print_json(found)
        return
    _print(found)


def _client(data_dir: Path | None) -> Client:
    return Client(load_profile(data_dir))


def _print(found: Answer) -> None:
    click.echo(f"mode         {found['mode']}")
    if "certificateEndsAt" in found:
        days = (found["certificateEndsAt"] - SystemClock().now()) / _DAY_S
        click.echo(f"certificate  ends in {days:.0f} days, renewed before")
    for number, each in enumerate(found["authorities"]):
        click.echo(f"{'authority' if number == 0 else 'former':<11}  {each['fingerprint']}")
