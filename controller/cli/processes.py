"""`homeport controller` and `homeport agent`: each becomes the process that it names."""

import os
from pathlib import Path
from typing import Any

import click

from controller.cli import options
from controller.cli.commands import agent_command, controller_command, controller_environment
from controller.cli.settings import load_settings


@click.command(short_help="Run the controller alone.")
@options.data_dir_option
@options.listen_option
@options.tls_option
@options.tls_certificate_option
@options.tls_key_option
@options.tls_authority_option
@options.tls_name_option
@options.allow_plain_http_option
@options.public_url_option
@options.database_url_option
@options.aws_profile_option
@click.option("--cluster", metavar="NAME", help="A cluster to create at the first start beside `default`.")
@options.log_format_option
@options.log_level_option
def controller(**flags: Any) -> None:
    """Run the controller alone, in the foreground.

    Flags beat the environment, which beats DIR/homeport.toml (keys: listen, tls, tls_certificate, tls_key,
    tls_authority, tls_name, allow_plain_http, public_url, database_url, aws_profile, account_id, region,
    cluster, log_format, log_level).

    \b
    Examples:
      homeport controller
      homeport controller --data-dir ./data --listen 127.0.0.1:9000
      homeport controller --listen 0.0.0.0:8480 --tls auto
      HOMEPORT_REGION=eu-west-1 homeport controller
    """
    settings = load_settings(flags)
    command = controller_command(settings)
    os.execve(command[0], command, controller_environment(settings, os.environ))


@click.command(short_help="Run the agent alone.")
@click.option("--controller", metavar="URL", help="The controller's address [ECS_BACKEND_HOST].")
@click.option("--token", metavar="TOKEN", help="Join with a token [HOMEPORT_JOIN_TOKEN].")
@click.option("--cluster", metavar="NAME", help="The cluster to join [ECS_CLUSTER; default].")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="What survives a restart [ECS_DATADIR; `agent` below HOMEPORT_DATA_DIR].",
)
@click.option(
    "--ca-file", metavar="FILE", help="Who vouches for the controller [HOMEPORT_CA_FILE; the system]."
)
@click.option("--introspection", metavar="HOST:PORT", help="Introspection API [127.0.0.1:51678].")
@click.option("--credentials", metavar="HOST:PORT", help="Task metadata and credentials [127.0.0.1:51679].")
@click.option("--metrics", metavar="HOST:PORT", help="Prometheus metrics [127.0.0.1:51680].")
@options.log_format_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warn", "error", "crit"]),
    help="The least severe level that is logged [ECS_LOGLEVEL; info].",
)
@click.option("--availability-zone", metavar="NAME", help="Rack, room or site [HOMEPORT_AVAILABILITY_ZONE].")
@click.option(
    "--drain-on-exit",
    metavar="DURATION",
    help="On SIGTERM drain first, and wait so long [HOMEPORT_DRAIN_ON_EXIT].",
)
@click.option("--attributes", metavar="JSON", help="Custom attributes [ECS_INSTANCE_ATTRIBUTES].")
@click.option("--config", metavar="FILE", help="The settings file [ECS_AGENT_CONFIG_FILE_PATH].")
@click.option("--settings", is_flag=True, help="List every setting, and those of ECS's without effect.")
def agent(settings: bool, **flags: Any) -> None:
    """Run the agent alone, in the foreground, on a machine with a Docker Engine.

    With a token it joins a cluster and keeps the credentials that it gets; from then on it needs neither
    token nor settings. Without, it signs with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as `homeport
    agent-config` prints them. It takes the same ECS_* environment variables and JSON file as
    amazon-ecs-agent; `homeport agent --settings` lists all that there is.

    \b
    Example, on the controller's machine:
      homeport token create
    and on the machine that joins, with what that prints:
      homeport agent --token hpj1-...
    """
    command = agent_command({"--" + name.replace("_", "-"): value for name, value in flags.items()})
    command += ["--settings"] if settings else []
    os.execve(command[0], command, os.environ)
