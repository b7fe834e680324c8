"""`homeport env`: point AWS's own tools at the controller."""

import os
import shlex
from pathlib import Path

import click

from controller.cli.options import data_dir_option
from controller.cli.output import print_json
from controller.cli.profile import load_profile

# Every service that the controller serves, as AWS's tools spell it in AWS_ENDPOINT_URL_…
SERVICES = ("ECS", "STS")
# What would make AWS's tools ignore an export of ours, and why.
_IN_THE_WAY = {
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "AWS's tools then ignore the endpoints above",
    "AWS_REGION": "some tools prefer it to AWS_DEFAULT_REGION",
    "AWS_SESSION_TOKEN": "it belongs to other credentials",
}


@click.command(short_help="Point AWS's own tools at this controller.")
@data_dir_option
@click.option(
    "--output",
    type=click.Choice(["shell", "json"]),
    default="shell",
    show_default=True,
    help="Exports for a shell, or a JSON object.",
)
def env(data_dir: Path | None, output: str) -> None:
    """Print what makes `aws ecs …`, boto3 and Terraform talk to this controller.

    \b
    Example:
      eval "$(homeport env)"
      aws ecs list-clusters
    """
    profile = load_profile(data_dir)
    variables = {
        "AWS_ACCESS_KEY_ID": profile.access_key_id,
        "AWS_SECRET_ACCESS_KEY": profile.secret_access_key,
        "AWS_DEFAULT_REGION": profile.region,
    } | {f"AWS_ENDPOINT_URL_{service}": profile.endpoint for service in SERVICES}
    if profile.ca_file:
        variables["AWS_CA_BUNDLE"] = str(profile.ca_file)
    elif os.environ.get("AWS_CA_BUNDLE") and profile.endpoint.startswith("https:"):
        _note("AWS_CA_BUNDLE", "it must hold what vouches for the controller's certificate")
    if output == "json":
        print_json(variables)
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    for name, why in _IN_THE_WAY.items():
        if os.environ.get(name):
            _note(name, why)


def _note(name: str, why: str) -> None:
    click.echo(f"homeport: note that {name} is set ({why}); to remove it: unset {name}", err=True)
