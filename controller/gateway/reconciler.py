"""Books what a comparison with an agent's tasks found: lost reports, tasks that are gone, quarantined
tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

import structlog

from agent.protocol.extensions import TaskInventoryEntry
from controller.gateway.fullsync import (
    Lookup,
    Reconciliation,
    RunningTask,
    Verdict,
    judge,
    quarantine_changes,
    reconcile,
    task_id_of,
)
from controller.state.changes import Cause
from controller.state.entities import ContainerInstance, QuarantinedTask, Task, task_key
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.indexes import QUARANTINED_ON_INSTANCE, TASKS_ON_INSTANCE
from controller.state.kernel import Reader, State, Transaction
from controller.state.lifecycle import TaskReport, apply_report
from controller.state.store.interface import StoreError

log = structlog.get_logger(__name__)

GONE_REASON = (
    "The agent no longer knows the task: it is not among the tasks that its container instance runs."
)

MAX_LOOKUPS = 1000
"""Unknown tasks looked up in the history at most, one by one; the rest is quarantined without."""


class Reconciler:
    """Compares agents' tasks with the store's. What it books is durable when its verbs return."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def inventory(
        self, instance: ContainerInstance, entries: tuple[TaskInventoryEntry, ...], believed: Set[str]
    ) -> Reconciliation:
        """Compare a full inventory with the store and book what follows. Raises as `Transaction.put` does."""
        state = self._state
        retired = await self._retired(instance, (entry.task_arn for entry in entries))
        with state.transaction(_cause(state, instance, "TaskInventoryMessage")) as tx:
            found = reconcile(
                entries,
                instance,
                dict(tx.select(TASKS_ON_INSTANCE, instance.key)),
                believed,
                _lookup(tx, instance, retired),
                state.names,
                state.meta,
            )
            for task, status in found.reports:
                report = apply_report(task, TaskReport(status=status), tx.now)
                tx.put(report, f"The agent's inventory shows the task as {status}.")
            for task in found.absent:
                tx.put(
                    apply_report(task, TaskReport(status="STOPPED", reason=GONE_REASON), tx.now), GONE_REASON
                )
            self._quarantine(tx, instance, found.unknown)
        await state.flushed(tx.touched)
        for task in found.absent:
            log.warning("task_gone_from_instance", task=task.key, instance=instance.key)
        return found

    async def verify(
        self, instance: ContainerInstance, running: tuple[RunningTask, ...], *, complete: bool
    ) -> Verdict:
        """Which of an agent's stop candidates must stop. `complete`: unknown tasks are among them, or there
        are none."""
        state = self._state
        retired = await self._retired(instance, (task.arn for task in running))
        with state.transaction(_cause(state, instance, "TaskStopVerificationMessage")) as tx:
            verdict = judge(running, instance, state.names, _lookup(tx, instance, retired))
            if complete:
                self._quarantine(tx, instance, verdict.unknown)
        await state.flushed(tx.touched)
        return verdict

    def nothing_unknown(self, instance: ContainerInstance) -> None:
        """The agent runs nothing that the store does not know."""
        if not self._state.read().select(QUARANTINED_ON_INSTANCE, instance.key):
            return
        try:
            with self._state.transaction(_cause(self._state, instance, "TaskManifestMessage")) as tx:
                self._quarantine(tx, instance, ())
        except (StoreUnavailable, TooManyPendingWrites) as error:
            # The next connection's manifest settles it.
            log.warning("quarantine_not_cleared", instance=instance.key, error=type(error).__name__)

    def _quarantine(
        self, tx: Transaction, instance: ContainerInstance, unknown: Iterable[RunningTask]
    ) -> None:
        existing: Mapping[str, QuarantinedTask] = tx.select(QUARANTINED_ON_INSTANCE, instance.key)
        added, removed = quarantine_changes(existing, unknown, instance, tx.now)
        for record in added:
            tx.put(record, "The agent runs this task and the store does not know it; it is left alone.")
            log.warning("task_quarantined", task=record.task_arn, instance=instance.key, family=record.family)
        for key in removed:
            tx.delete(
                QuarantinedTask, key, "The agent does not run the task any more, or the store knows it now."
            )

    async def _retired(self, instance: ContainerInstance, arns: Iterable[str]) -> dict[str, Task]:
        """Those of an agent's tasks that ended so long ago that only the history knows them."""
        read = self._state.read()
        found: dict[str, Task] = {}
        lookups = 0
        for arn in arns:
            task_id = task_id_of(arn, self._state.names, instance.cluster)
            if task_id is None or read.get(Task, task_key(instance.cluster, task_id)) is not None:
                continue
            lookups += 1
            if lookups > MAX_LOOKUPS:
                log.warning("history_not_searched_further", instance=instance.key, lookups=MAX_LOOKUPS)
                break
            try:
                task = await self._state.history.ended_task(instance.cluster, task_id)
            except StoreError as error:
                log.warning("history_not_searched", instance=instance.key, error=str(error))
                break
            if task is not None:
                found[task_id] = task
        return found


def _lookup(read: Reader, instance: ContainerInstance, retired: Mapping[str, Task]) -> Lookup:
    def find(task_id: str) -> Task | None:
        return read.get(Task, task_key(instance.cluster, task_id)) or retired.get(task_id)

    return find


def _cause(state: State, instance: ContainerInstance, message: str) -> Cause:
    return Cause(kind="agent", id=message, caller=state.names.instance(instance))
