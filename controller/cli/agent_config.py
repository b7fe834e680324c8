"""`homeport agent-config`: the environment with which an agent joins, amazon-ecs-agent unmodified or ours."""

from pathlib import Path

import click

from agent.protocol.trust import certificates, fingerprint
from controller.cli.client import Client
from controller.cli.options import data_dir_option
from controller.cli.output import print_json
from controller.cli.profile import load_profile
from controller.keyring import ClientProfile

_LOGGING_DRIVERS = '["json-file","journald","syslog","fluentd","gelf","none","awsfirelens"]'


@click.command("agent-config", short_help="Print what an agent needs to join a cluster.")
@data_dir_option
@click.option("--cluster", default="default", show_default=True, metavar="NAME", help="The cluster to join.")
@click.option("--endpoint", metavar="URL", help="The controller as the joining machine reaches it.")
@click.option(
    "--agent",
    type=click.Choice(["amazon", "homeport"]),
    default="amazon",
    show_default=True,
    help="Whose agent joins; Homeport's own needs less, and finds out for itself whether it runs on EC2.",
)
@click.option(
    "--agent-data-dir",
    default="/var/lib/ecs",
    show_default=True,
    metavar="DIR",
    help="Where that agent keeps its data, on the joining machine; DIR/data must exist there.",
)
@click.option(
    "--output",
    type=click.Choice(["env", "json"]),
    default="env",
    show_default=True,
    help="KEY=VALUE lines, or a JSON object.",
)
def agent_config(
    data_dir: Path | None, cluster: str, endpoint: str | None, agent: str, agent_data_dir: str, output: str
) -> None:
    """Print, as KEY=VALUE lines, what an agent needs to join a cluster.

    The key among them may do what an agent does, in this cluster, and nothing else. Homeport's own agent
    takes amazon-ecs-agent's variables, too.

    \b
    Examples:
      homeport agent-config --cluster lab > agent.env
      homeport agent-config --agent homeport --endpoint http://controller.lan:8480 > agent.env
      docker run --env-file agent.env …   or   EnvironmentFile=agent.env in a systemd unit
    """
    profile = load_profile(data_dir)
    key = Client(profile).homeport("EnsureAgentAccessKey", cluster=cluster)
    variables = {
        "AWS_DEFAULT_REGION": profile.region,
        "AWS_ACCESS_KEY_ID": key["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["secretAccessKey"],
        "ECS_BACKEND_HOST": endpoint or profile.endpoint,
        "ECS_CLUSTER": cluster,
    }
    if agent == "amazon":
        variables |= _for_an_unmodified_agent(agent_data_dir)
    if profile.ca_file:
        variables |= _trust(profile, agent, agent_data_dir)
    if output == "json":
        print_json(variables)
        return
    for name, value in variables.items():
        click.echo(f"{name}={value}")


def _trust(profile: ClientProfile, agent: str, data_dir: str) -> dict[str, str]:
    """By what the agent knows a controller whose authority no system trusts by itself."""
    assert profile.ca_file is not None
    if agent == "homeport":
        present = certificates(profile.ca_file.read_text())[0]
        return {"HOMEPORT_AUTHORITY_FINGERPRINT": fingerprint(present)}
    file = f"{data_dir}/ca.pem"
    click.echo(
        f"homeport: the joining machine needs the file {file}; "
        "'homeport tls authority' prints what goes into it",
        err=True,
    )
    return {"SSL_CERT_FILE": file}


def _for_an_unmodified_agent(data_dir: str) -> dict[str, str]:
    """What it needs beside address and key, on a machine that is not prepared for it."""
    return {
        "AWS_EC2_METADATA_DISABLED": "true",
        "ECS_EXTERNAL": "true",
        "ECS_DATADIR": f"{data_dir}/data",
        "ECS_HOST_DATA_DIR": data_dir,
        "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
        "ECS_AUDIT_LOGFILE_DISABLED": "true",
        "ECS_AVAILABLE_LOGGING_DRIVERS": _LOGGING_DRIVERS,
        "ECS_EBSTA_SUPPORTED": "false",
        "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
    }
