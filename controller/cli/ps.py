"""`homeport ps`: the tasks of a cluster."""

from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.clock import SystemClock
from controller.cli.client import Answer, Client
from controller.cli.options import cluster_option, data_dir_option, output_option
from controller.cli.output import age, print_json, print_table, short
from controller.cli.profile import load_profile

_DESCRIBE_TASKS_LIMIT = 100


@click.command()
@data_dir_option
@cluster_option
@click.option(
    "--all", "show_all", is_flag=True, help="Tasks that are stopping or have stopped too, with the reason."
)
@output_option
def ps(data_dir: Path | None, cluster: str, show_all: bool, output: str) -> None:
    """List the tasks of a cluster.

    Quarantined tasks are containers that an agent runs and this controller knows nothing of, for instance
    after it was started on an empty data directory. They are shown and never stopped.

    \b
    Examples:
      homeport ps
      homeport ps --all --cluster lab
      homeport ps --output json | jq -r '.tasks[].taskArn'
    """
    client = Client(load_profile(data_dir))
    tasks = _tasks(client, cluster, show_all)
    quarantined: list[Answer] = client.homeport("ListQuarantinedTasks", cluster=cluster)["quarantinedTasks"]
    if output == "json":
        print_json({"tasks": tasks, "quarantinedTasks": quarantined})
        return
    now = SystemClock().now()
    print_task_table(tasks, now)
    if quarantined:
        click.echo()
        print_quarantine_table(quarantined, now)


def _tasks(client: Client, cluster: str, show_all: bool) -> list[Answer]:
    arns: list[str] = []
    for desired_status in ("RUNNING", "STOPPED") if show_all else ("RUNNING",):
        arns += client.list_all("ListTasks", "taskArns", cluster=cluster, desiredStatus=desired_status)
    return client.describe_all(
        "DescribeTasks", "tasks", "tasks", arns, _DESCRIBE_TASKS_LIMIT, cluster=cluster
    )


def print_task_table(tasks: Sequence[Answer], now: float) -> None:
    """One line a task, grouped by service; the reason column appears once one waits or has stopped."""
    headings = [
        "TASK",
        "GROUP",
        "TASK DEFINITION",
        "INSTANCE",
        "LAST",
        "DESIRED",
        "HEALTH",
        "STARTED",
        "PORTS",
    ]
    rows = [
        [
            short(task["taskArn"]),
            task.get("group", "-"),
            short(task["taskDefinitionArn"]),
            short(task.get("containerInstanceArn"))[:12],
            task["lastStatus"],
            task["desiredStatus"],
            task.get("healthStatus", "UNKNOWN"),
            age(task.get("startedAt"), now),
            _ports(task),
            *_reason(task),
        ]
        for task in sorted(tasks, key=lambda task: (task.get("group", ""), task["taskArn"]))
    ]
    if any(len(row) > len(headings) for row in rows):
        headings.append("REASON")
        rows = [row if len(row) == len(headings) else [*row, ""] for row in rows]
    print_table(headings, rows)


def print_quarantine_table(quarantined: Sequence[Answer], now: float) -> None:
    """One line for each task that an agent runs and the controller does not know."""
    rows = [
        [
            short(task["taskArn"]),
            f"{task['family']}:{task['version']}" if task.get("family") else "-",
            short(task.get("containerInstanceArn"))[:12],
            "QUARANTINED",
            age(task.get("firstSeenAt"), now),
        ]
        for task in quarantined
    ]
    click.echo("Running on an instance but unknown to this controller; Homeport will not stop them:")
    print_table(["TASK", "TASK DEFINITION", "INSTANCE", "STATUS", "SEEN"], rows)


def _ports(task: Answer) -> str:
    """Where a task is reached: ports of its host, or the address that it has for itself."""
    containers = task.get("containers", ())
    bindings = [binding for container in containers for binding in container.get("networkBindings", ())]
    single = {
        (binding["hostPort"], binding["containerPort"], binding.get("protocol", "tcp"))
        for binding in bindings
        if "hostPort" in binding
    }
    ranges = {
        (binding["hostPortRange"], binding["containerPortRange"], binding.get("protocol", "tcp"))
        for binding in bindings
        if "hostPortRange" in binding
    }
    addresses = {
        interface["privateIpv4Address"]
        for container in containers
        for interface in container.get("networkInterfaces", ())
        if "privateIpv4Address" in interface
    }
    forwarded = [f"{host}->{port}/{protocol}" for host, port, protocol in (*sorted(single), *sorted(ranges))]
    return ",".join([*sorted(addresses), *forwarded]) or "-"


def _reason(task: Answer) -> list[str]:
    stopped_reason = task.get("stoppedReason")
    if not stopped_reason:
        return _waits(task)
    parts = [stopped_reason]
    for container in task.get("containers", ()):
        reason = container.get("reason", "")
        if "exitCode" in container:
            parts.append(f"{container['name']} exited with {container['exitCode']}")
        elif reason and reason not in stopped_reason:
            parts.append(f"{container['name']}: {reason}")
    return ["; ".join(parts)]


def _waits(task: Answer) -> list[str]:
    """What a task that has not begun waits for; its containers all say the same."""
    waiting = (c for c in task.get("containers", ()) if c.get("lastStatus") == "PENDING")
    return sorted({reason for container in waiting if (reason := container.get("reason"))})[:1]
