"""Desired state coming in: what is to run queues for its share of the host, what is to stop is told so."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog
from msgspec.structs import replace

from agent.engine.admission import Request
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.changes import RejectedTask
from agent.engine.definition import demand, plan_task, stripped
from agent.engine.janitor import Janitor
from agent.engine.namespaces import uses_host_network, with_pause_container
from agent.engine.pause_image import PauseImage
from agent.engine.payload_documents import InvalidTaskError
from agent.engine.refusals import refusal
from agent.engine.role_credentials import RoleCredentials
from agent.engine.runner import Runner
from agent.engine.states import Admitted, Resumed, Status, StopRequested, TaskPlan
from agent.engine.transitions import initial_state
from agent.engine.waiting import WaitingRoom
from agent.protocol import acs
from agent.protocol.clock import Clock
from agent.protocol.resources import Resources

log = structlog.get_logger(__name__)

_ENDED_HERE = "TaskStateError: this task has ended on this instance before and is never started again"


class Intake:
    """Takes tasks over, lets them in, and gives their share of the host back once they have ended."""

    def __init__(
        self,
        book: TaskBook,
        room: WaitingRoom,
        janitor: Janitor,
        runner: Runner,
        credentials: RoleCredentials,
        pause: PauseImage,
        clock: Clock,
        stop_timeout_s: float,
        token: Callable[[], str],
    ) -> None:
        """``stop_timeout_s`` holds for containers that state none; ``token`` makes names unique."""
        self._book = book
        self._room = room
        self._janitor = janitor
        self._runner = runner
        self._credentials = credentials
        self._pause = pause
        self._clock = clock
        self._stop_timeout_s = stop_timeout_s
        self._token = token
        self._last_arrival = 0

    async def accept(self, tasks: Sequence[acs.Task]) -> tuple[RejectedTask, ...]:
        """Take over desired state, stops first; durable when it returns. Known ARNs only move forward.

        A task that cannot be read is returned, and reported STOPPED with the reason. Raises
        ``CheckpointError`` if the tasks could not be written: they must not be acknowledged then.
        """
        rejected = []
        written: set[asyncio.Future[None]] = set()
        for task in sorted(tasks, key=lambda task: task.desired_status != "STOPPED"):
            refused, future = self._take(task)
            if refused is not None:
                rejected.append(refused)
            if future is not None:
                written.add(future)
        self._room.admit()
        await on_disk(written)
        return tuple(rejected)

    async def stop(self, task_arns: Iterable[str]) -> None:
        """Stop tasks; durable when it returns. ARNs that are not known are passed over."""
        records = [record for arn in task_arns if (record := self._book.get(arn)) is not None]
        await on_disk({self._book.apply(record, StopRequested(at=self._clock.now())) for record in records})

    def resume(self) -> None:
        """Go on with every task: those that had begun keep their share of the host, the others queue for
        it.
        """
        for record in sorted(self._book, key=lambda record: record.state.arrival):
            self._last_arrival = record.state.arrival
            self._janitor.mind(record)
            if record.state.known is Status.STOPPED:
                continue
            if any(c.known is not Status.NONE for c in record.state.containers):
                self._room.hold(record.plan.arn, demand(record.definition))
                self._book.apply(record, Admitted(at=self._clock.now()))
                self._book.apply(record, Resumed(at=self._clock.now()))
            elif record.state.desired is Status.STOPPED:
                self._book.apply(record, Resumed(at=self._clock.now()))
            else:
                self._room.ask(_request(record, demand(record.definition)))
        self._room.admit()

    def ended(self, record: TaskRecord) -> None:
        """A task has stopped: what it held is given back once the engine has really let go of it."""
        self._credentials.forget(record.plan.arn)
        self._janitor.mind(record)
        self._runner.spawn(self._release(record), f"release {record.plan.arn}")

    async def _release(self, record: TaskRecord) -> None:
        await self._runner.until_gone(record)
        self._room.release(record.plan.arn)

    def _take(self, task: acs.Task) -> "tuple[RejectedTask | None, asyncio.Future[None] | None]":
        arn, now = task.arn or "", self._clock.now()
        stop = task.desired_status == "STOPPED"
        known = self._book.get(arn)
        if known is not None:
            self._credentials.keep_of_payload(task)
            return None, self._book.apply(known, StopRequested(at=now)) if stop else self._book.write(known)
        if self._janitor.has_ended(arn):
            return None, self._add_ended(task, _ENDED_HERE)
        try:
            task = with_pause_container(task, self._pause.reference)
            plan = plan_task(task, self._stop_timeout_s, self._token)
            wanted = demand(task)
        except InvalidTaskError as error:
            reason = f"UnrecogniedTaskError: Error loading task - {error}"
            log.warning("task_rejected", task=arn, reason=reason)
            return RejectedTask(arn, reason), self._add_ended(task, reason) if arn else None
        self._last_arrival += 1
        state = replace(initial_state(plan), arrival=self._last_arrival)
        record = TaskRecord(stripped(task), plan, state)
        self._book.add(record)
        self._credentials.keep_of_payload(task)
        impossible = self._room.impossible(wanted)
        reason = refusal(task) or (f"ResourceInitializationError: {impossible}" if impossible else "")
        if stop or reason:
            return None, self._book.apply(record, StopRequested(at=now, reason=reason))
        self._room.ask(_request(record, wanted))
        return None, self._book.write(record)

    def _add_ended(self, task: acs.Task, reason: str) -> "asyncio.Future[None]":
        """Know a task only to report that it is stopped."""
        plan = TaskPlan(arn=task.arn or "", containers=())
        record = TaskRecord(stripped(task), plan, initial_state(plan))
        self._book.add(record)
        return self._book.apply(record, StopRequested(at=self._clock.now(), reason=reason))


def _request(record: TaskRecord, wanted: Resources) -> Request:
    task = record.definition
    host_network = any(uses_host_network(task, container) for container in task.containers)
    return Request(record.plan.arn, wanted, host_network)


async def on_disk(written: "set[asyncio.Future[None]]") -> None:
    """Wait for writes of the checkpoint. Raises ``CheckpointError`` if one of them failed."""
    if written:
        await asyncio.wait(written)
    for future in written:
        future.result()
