"""`homeport services`: the services of a cluster."""

from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from controller.cli.client import Answer, Client
from controller.cli.options import cluster_option, data_dir_option, output_option
from controller.cli.output import age, print_json, print_table, short
from controller.cli.profile import load_profile

_DESCRIBE_SERVICES_LIMIT = 10


@click.command(short_help="List the services of a cluster.")
@data_dir_option
@cluster_option
@output_option
def services(data_dir: Path | None, cluster: str, output: str) -> None:
    """List the services of a cluster: what is wanted, what runs, how the deployment goes, what happened last.

    \b
    Examples:
      homeport services
      homeport services --cluster lab --output json | jq '.services[] | select(.runningCount < .desiredCount)'
    """
    client = Client(load_profile(data_dir))
    arns = list(client.list_all("ListServices", "serviceArns", cluster=cluster))
    found = client.describe_all(
        "DescribeServices", "services", "services", arns, _DESCRIBE_SERVICES_LIMIT, cluster=cluster
    )
    if output == "json":
        print_json({"services": found})
        return
    print_service_table(found, SystemClock().now())


def print_service_table(found: Sequence[Answer], now: float) -> None:
    """One line a service."""
    headings = [
        "SERVICE",
        "STATUS",
        "TASK DEFINITION",
        "DESIRED",
        "RUNNING",
        "PENDING",
        "ROLLOUT",
        "LAST EVENT",
    ]
    rows = [
        [
            service["serviceName"],
            service["status"],
            short(service["taskDefinition"]),
            str(service["desiredCount"]),
            str(service["runningCount"]),
            str(service["pendingCount"]),
            _rollout(service),
            _last_event(service, now),
        ]
        for service in sorted(found, key=lambda service: str(service["serviceName"]))
    ]
    print_table(headings, rows)


def _rollout(service: Answer) -> str:
    for deployment in service.get("deployments", ()):
        if deployment["status"] == "PRIMARY":
            return str(deployment.get("rolloutState", "-"))
    return "-"


def _last_event(service: Answer, now: float) -> str:
    events = service.get("events", ())
    if not events:
        return "-"
    newest = max(events, key=lambda event: float(event["createdAt"]))
    message = str(newest["message"]).removeprefix(f"(service {service['serviceName']}) ")
    return f"{age(newest['createdAt'], now)} ago: {message}"
