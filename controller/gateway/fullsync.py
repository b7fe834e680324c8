"""Comparing what an agent runs with what the store knows. Pure rules, for both ways in which agents tell.

Nothing is stopped on an empty view: a stop needs a task of this store whose stop is positively decided. What
an agent runs and the store does not know is quarantined. What the store believes to be on the instance and
the agent does not know has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set

import msgspec

from agent.protocol import acs
from agent.protocol.arn import Arn
from agent.protocol.extensions import TaskInventoryEntry
from controller.gateway.delivery import is_stop_decided, is_unconfirmed
from controller.state.entities import ContainerInstance, QuarantinedTask, ReportedStatus, Task
from controller.state.lifecycle import REPORT_RANK, is_ended
from controller.state.names import Names
from controller.state.store.interface import Meta

Lookup = Callable[[str], Task | None]
"""Finds a task of the instance's cluster by its id."""

AGENT_STATUSES: dict[str, ReportedStatus] = {"NONE": "NONE", "RUNNING": "RUNNING", "STOPPED": "STOPPED"}
"""Agents' own statuses as reports; every other (PULLED, CREATED, ...) is PENDING."""


class RunningTask(msgspec.Struct, frozen=True):
    """A task that an agent runs, as far as it told."""

    arn: str
    family: str = ""
    version: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What to make of tasks that an agent runs: stop those that are decided, quarantine those that are
    unknown."""

    stop: tuple[Task, ...] = ()
    unknown: tuple[RunningTask, ...] = ()


class Reconciliation(msgspec.Struct, frozen=True):
    """What a full inventory says about an instance's tasks."""

    present: tuple[Task, ...] = ()
    """Tasks that the agent holds; they need no delivery."""
    reports: tuple[tuple[Task, ReportedStatus], ...] = ()
    """Statuses that this controller acknowledged and has lost since, with a restored backup."""
    absent: tuple[Task, ...] = ()
    """Tasks that the store believes to be on the instance and that the agent does not know any more."""
    stop: tuple[Task, ...] = ()
    unknown: tuple[RunningTask, ...] = ()


def task_id_of(arn: str, names: Names, cluster: str) -> str | None:
    """The id in the ARN of a task of this controller and cluster; None for any other text."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    task_id = parsed.resource.rpartition("/")[2]
    return task_id if arn == names.task_id(cluster, task_id) else None


def manifest_tasks(tasks: Iterable[Task], names: Names) -> tuple[acs.TaskIdentifier, ...]:
    """The manifest: every task that shall run on the instance. What is not in it becomes a stop candidate, no
    more."""
    return tuple(
        acs.TaskIdentifier(
            task_arn=names.task(task), task_cluster_arn=names.cluster(task.cluster), desired_status="RUNNING"
        )
        for task in tasks
        if not is_stop_decided(task)
    )


def judge(
    running: Iterable[RunningTask], instance: ContainerInstance, names: Names, lookup: Lookup
) -> Verdict:
    """Which of the tasks that an agent runs must stop, and which are unknown. All others are to run on."""
    stop: list[Task] = []
    unknown: list[RunningTask] = []
    for candidate in running:
        task_id = task_id_of(candidate.arn, names, instance.cluster)
        task = None if task_id is None else lookup(task_id)
        if task is None or task.instance != instance.id:
            unknown.append(candidate)
        elif is_stop_decided(task):
            stop.append(task)
    return Verdict(tuple(stop), tuple(unknown))


def believed_present(tasks: Iterable[Task], acknowledged: Set[str]) -> frozenset[str]:
    """Ids of the tasks that must be on the instance: the agent reported or acknowledged them, or they were
    given up there."""
    return frozenset(
        task.id
        for task in tasks
        if task.reported_status in ("PENDING", "RUNNING") or is_ended(task) or task.id in acknowledged
    )


def reconcile(
    entries: Iterable[TaskInventoryEntry],
    instance: ContainerInstance,
    tasks: Mapping[str, Task],
    believed: Set[str],
    lookup: Lookup,
    names: Names,
    meta: Meta,
) -> Reconciliation:
    """Compare a full inventory with the tasks that hold resources of the instance (by their keys).

    `believed` are the tasks that were believed to be there when the connection began: what was sent later may
    have crossed the inventory on its way. A task from a backup that nobody confirms ends too, since it may
    not be sent.
    """
    listed = {entry.task_arn: entry for entry in entries}
    present, reports, absent = [], [], []
    for task in tasks.values():
        entry = listed.get(names.task(task))
        if entry is not None:
            present.append(task)
            status = _lost_report(task, entry, meta)
            if status is not None:
                reports.append((task, status))
        elif task.id in believed or is_unconfirmed(task, meta):
            absent.append(task)
    verdict = judge(
        (
            RunningTask(e.task_arn, e.family, e.version)
            for e in listed.values()
            if e.known_status != "STOPPED"
        ),
        instance,
        names,
        lookup,
    )
    return Reconciliation(tuple(present), tuple(reports), tuple(absent), verdict.stop, verdict.unknown)


def _lost_report(task: Task, entry: TaskInventoryEntry, meta: Meta) -> ReportedStatus | None:
    """A status that the agent was once told is safe here, and that is not: it will not be reported again."""
    status = AGENT_STATUSES.get(entry.sent_status, "PENDING")
    if status == "NONE" and is_unconfirmed(task, meta):
        status = "PENDING"
    return status if REPORT_RANK[status] > REPORT_RANK[task.reported_status] else None


def quarantine_changes(
    existing: Mapping[str, QuarantinedTask],
    unknown: Iterable[RunningTask],
    instance: ContainerInstance,
    now: float,
) -> tuple[list[QuarantinedTask], list[str]]:
    """Records to add, and keys of records to remove because the agent has the task no longer or it became
    known."""
    found = {
        record.key: record
        for record in (
            QuarantinedTask(
                cluster=instance.cluster,
                instance=instance.id,
                task_arn=task.arn,
                family=task.family,
                version=task.version,
                first_seen_at=now,
            )
            for task in unknown
        )
    }
    added = [record for key, record in found.items() if key not in existing]
    return added, [key for key in existing if key not in found]
