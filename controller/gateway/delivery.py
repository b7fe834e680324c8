"""What an agent is to be sent, decided from the tasks of its instance and from what its connection has
already delivered.

Delivery is at least once: what the agent did not acknowledge is sent again, and agents tell tasks apart by
ARN. RUNNING is sent only while nobody decided otherwise; STOPPED is sent on every connection until the agent
reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from controller.state.entities import DesiredStatus, Task
from controller.state.lifecycle import holds_resources, is_ended
from controller.state.store.interface import Meta

TASKS_PER_PAYLOAD = 10
"""As ECS sends: a lost frame then loses little, and agents acknowledge in small steps."""

MAX_RESENDS = 5
"""After these, an unacknowledged payload waits for the next connection: agents do not acknowledge a payload
with an invalid task."""


class Delivery(msgspec.Struct, frozen=True):
    """Tasks to send now; stops go first, so that what they hold is free for the starts."""

    stop: tuple[Task, ...] = ()
    start: tuple[Task, ...] = ()

    def batches(self) -> Iterator[tuple[tuple[Task, DesiredStatus], ...]]:
        """Payloads of at most `TASKS_PER_PAYLOAD` tasks, each with the status that it is sent with."""
        wanted: list[tuple[Task, DesiredStatus]] = [(task, "STOPPED") for task in self.stop]
        wanted += [(task, "RUNNING") for task in self.start]
        rest = iter(wanted)
        while batch := tuple(islice(rest, TASKS_PER_PAYLOAD)):
            yield batch


def may_send_running(task: Task, meta: Meta) -> bool:
    """Whether an agent may be told to run the task.

    Not once its stop is decided or it was reported RUNNING or STOPPED. And not if it comes out of a backup
    unconfirmed: it may have run and ended after the backup was made, and a task is started at most once. A
    plain restart of the controller loses nothing, so tasks of earlier epochs are sent.
    """
    return (
        task.instance is not None
        and task.desired_status == "RUNNING"
        and task.disposition == "NONE"
        and task.reported_status in ("NONE", "PENDING")
        and not is_unconfirmed(task, meta)
    )


def is_unconfirmed(task: Task, meta: Meta) -> bool:
    """Whether nobody knows what became of the task: it was restored from a backup, and no agent has said a
    word about it since."""
    return task.reported_status == "NONE" and task.created_epoch <= meta.restore_epoch


def must_send_stop(task: Task) -> bool:
    """Whether the agent may still run the task though it is decided that it must not."""
    return holds_resources(task) and is_stop_decided(task)


def is_stop_decided(task: Task) -> bool:
    """Whether the store has positively decided that the task must not run."""
    return task.desired_status == "STOPPED" or is_ended(task)


def wanted_status(task: Task, meta: Meta) -> DesiredStatus | None:
    """The status that the agent must be told of, or None if there is nothing to tell."""
    if must_send_stop(task):
        return "STOPPED"
    return "RUNNING" if may_send_running(task, meta) else None


def plan_delivery(tasks: Iterable[Task], delivered: dict[str, DesiredStatus], meta: Meta) -> Delivery:
    """What to send of an instance's tasks, given the status that each task id was last sent (or confirmed)
    with."""
    stop: list[Task] = []
    start: list[Task] = []
    for task in tasks:
        wanted = wanted_status(task, meta)
        if wanted is None or delivered.get(task.id) == wanted:
            continue
        (stop if wanted == "STOPPED" else start).append(task)
    return Delivery(tuple(sorted(stop, key=_age)), tuple(sorted(start, key=_age)))


def _age(task: Task) -> tuple[float, str]:
    return task.created_at, task.id


class Unacknowledged(msgspec.Struct):
    """A payload that the agent has not acknowledged yet."""

    message_id: str
    tasks: dict[str, DesiredStatus]
    due_at: float | None
    """Monotonic time of the next resend; None when only a new connection brings another."""
    resends: int = 0


class Deliveries:
    """What one connection has delivered: sent, acknowledged, and due to be sent again. No I/O; times are
    monotonic seconds."""

    def __init__(self, resend_after_s: float) -> None:
        self._resend_after_s = resend_after_s
        self._delivered: dict[str, DesiredStatus] = {}
        self._unacknowledged: dict[str, Unacknowledged] = {}
        self._forced_stops: dict[str, Task] = {}

    def plan(self, tasks: Sequence[Task], meta: Meta, *, starts: bool) -> Delivery:
        """What is to be sent now. Without `starts`, only what must stop."""
        self._forget_gone(tasks)
        plan = plan_delivery(tasks, self._delivered, meta)
        planned = {task.id for task in plan.stop}
        forced = [
            task
            for task in self._forced_stops.values()
            if self._delivered.get(task.id) != "STOPPED" and task.id not in planned
        ]
        return Delivery((*plan.stop, *forced), plan.start if starts else ())

    def stop_ended(self, task: Task) -> None:
        """Have a task stopped that has ended in the books though the agent still runs it."""
        self._forced_stops[task.id] = task
        self._delivered.pop(task.id, None)

    def forced_stop(self, task_id: str) -> Task | None:
        """The task, if it is one of `stop_ended` and the agent has not acknowledged its stop yet."""
        return self._forced_stops.get(task_id)

    def confirm(self, task_id: str, status: DesiredStatus) -> None:
        """Note that the agent is known to hold the task with this desired status."""
        self._delivered[task_id] = status

    def was_told_to_run(self, task_id: str) -> bool:
        """Whether the agent was sent, or is known to hold, the task as one to run."""
        return self._delivered.get(task_id) == "RUNNING"

    def sent(self, message_id: str, batch: Iterable[tuple[Task, DesiredStatus]], now: float) -> None:
        """Note a payload that was just sent."""
        tasks = {task.id: status for task, status in batch}
        self._delivered |= tasks
        self._unacknowledged[message_id] = Unacknowledged(message_id, tasks, now + self._resend_after_s)

    def acknowledged(self, message_id: str) -> dict[str, DesiredStatus]:
        """The agent's acknowledgement of a payload: the statuses that it covers, nothing for one that is not
        waited for."""
        payload = self._unacknowledged.pop(message_id, None)
        if payload is None:
            return {}
        for task_id in payload.tasks:
            self._forced_stops.pop(task_id, None)
        return payload.tasks

    def refused(self, message_id: str) -> None:
        """The agent will not take this payload on this connection; sending it again would change nothing."""
        payload = self._unacknowledged.get(message_id)
        if payload is not None:
            payload.due_at = None

    def next_due(self) -> float | None:
        """When the next resend is due; None if none is."""
        return min((p.due_at for p in self._unacknowledged.values() if p.due_at is not None), default=None)

    def due(
        self, now: float, still_needed: Callable[[str, DesiredStatus], Task | None]
    ) -> Iterator[tuple[str, tuple[tuple[Task, DesiredStatus], ...]]]:
        """Payloads to send again, as message ids with what is still needed of their tasks.

        `still_needed` gives the task if it must be sent with this status even now. A payload of which nothing
        is needed any more is forgotten: the agent's reports have answered it.
        """
        for payload in [p for p in self._unacknowledged.values() if p.due_at is not None and p.due_at <= now]:
            kept = [(still_needed(task_id, status), status) for task_id, status in payload.tasks.items()]
            batch = tuple((task, status) for task, status in kept if task is not None)
            if not batch:
                del self._unacknowledged[payload.message_id]
                continue
            payload.tasks = {task.id: status for task, status in batch}
            payload.resends += 1
            delay = self._resend_after_s * 2**payload.resends
            payload.due_at = now + delay if payload.resends < MAX_RESENDS else None
            yield payload.message_id, batch

    def _forget_gone(self, tasks: Sequence[Task]) -> None:
        """Keep the books as small as the instance: tasks come and go for as long as the connection lasts."""
        if len(self._delivered) <= 2 * len(tasks) + len(self._forced_stops) + TASKS_PER_PAYLOAD:
            return
        here = {task.id for task in tasks} | self._forced_stops.keys()
        self._delivered = {task_id: status for task_id, status in self._delivered.items() if task_id in here}
        for message_id, payload in list(self._unacknowledged.items()):
            if not here & payload.tasks.keys():
                del self._unacknowledged[message_id]
