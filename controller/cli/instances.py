"""`homeport instances`: the container instances of a cluster."""

from collections.abc import Sequence
from pathlib import Path

import click

from controller.cli.client import Answer, Client
from controller.cli.options import cluster_option, data_dir_option, output_option
from controller.cli.output import print_json, print_table, short
from controller.cli.profile import load_profile

_DESCRIBE_INSTANCES_LIMIT = 100


@click.command(short_help="List the container instances of a cluster.")
@data_dir_option
@cluster_option
@output_option
def instances(data_dir: Path | None, cluster: str, output: str) -> None:
    """List the container instances of a cluster: is the agent connected, and what is free.

    \b
    Examples:
      homeport instances
      homeport instances --output json | jq '.containerInstances[] | select(.agentConnected | not)'
    """
    client = Client(load_profile(data_dir))
    arns = list(client.list_all("ListContainerInstances", "containerInstanceArns", cluster=cluster))
    found = client.describe_all(
        *("DescribeContainerInstances", "containerInstances", "containerInstances"),
        arns,
        _DESCRIBE_INSTANCES_LIMIT,
        cluster=cluster,
        include=["CONTAINER_INSTANCE_HEALTH"],
    )
    if output == "json":
        print_json({"containerInstances": found})
        return
    print_instance_table(found)


def print_instance_table(found: Sequence[Answer]) -> None:
    """One line a container instance; CPU in units of a 1024th of a core, memory in MiB."""
    headings = [
        *("INSTANCE", "STATUS", "CONNECTED", "AGENT"),
        *("CPU FREE/TOTAL", "MEMORY FREE/TOTAL", "RUNNING", "PENDING", "NOTE"),
    ]
    rows = [
        [
            short(instance["containerInstanceArn"]),
            instance["status"],
            "yes" if instance["agentConnected"] else "no",
            instance.get("versionInfo", {}).get("agentVersion", "-"),
            _free_of_total(instance, "CPU"),
            _free_of_total(instance, "MEMORY"),
            str(instance["runningTasksCount"]),
            str(instance["pendingTasksCount"]),
            _note(instance),
        ]
        for instance in sorted(found, key=lambda instance: str(instance["containerInstanceArn"]))
    ]
    print_table(headings, rows)


def _note(instance: Answer) -> str:
    """Why it takes no tasks, or what ails it."""
    details = instance.get("healthStatus", {}).get("details", ())
    reasons = [detail["statusReason"] for detail in details if "statusReason" in detail]
    return str(instance.get("statusReason") or " ".join(reasons) or "-")


def _free_of_total(instance: Answer, name: str) -> str:
    remaining = _resource(instance.get("remainingResources", ()), name)
    registered = _resource(instance.get("registeredResources", ()), name)
    return f"{remaining}/{registered}"


def _resource(resources: Sequence[Answer], name: str) -> str:
    for resource in resources:
        if resource["name"] == name:
            return str(resource["integerValue"])
    return "-"
