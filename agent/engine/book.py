"""The tasks of this agent and the one place where their state changes.

``TaskBook.apply`` runs without a pause from event to new state, so that each task has one serial owner.
What it decides is written before it is done: commands are handed on together with the write that they
wait for.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

import structlog

from agent.checkpoint import Checkpoint, StoredTask
from agent.engine.outbox import Outbox
from agent.engine.states import Command, Event, Status, TaskPlan, TaskState
from agent.engine.transitions import IllegalTransitionError, step
from agent.protocol import acs

log = structlog.get_logger(__name__)

_STORY_LENGTH = 50

Written = "asyncio.Future[None]"


class TaskRecord:
    """A task in memory."""

    __slots__ = ("definition", "plan", "removal_due", "state", "stopped", "story")

    def __init__(self, definition: acs.Task, plan: TaskPlan, state: TaskState) -> None:
        self.definition = definition
        self.plan = plan
        self.state = state
        self.story: deque[str] = deque(maxlen=_STORY_LENGTH)
        """What happened to it lately, in sentences, for the log when something impossible happens."""
        self.stopped = {c.name: asyncio.Event() for c in plan.containers}
        """Set for each container once it is known to have stopped."""
        self.removal_due: float | None = None
        """Monotonic time at which what it left behind is removed; None while it lives."""

    def container(self, name: str) -> acs.Container:
        """The definition of a container. Containers stand in the definition in the plan's order."""
        return self.definition.containers[self.plan.index(name)]

    def docker_name(self, container: str) -> str:
        """What the engine knows a container by."""
        return self.plan.containers[self.plan.index(container)].docker_name


class TaskBook:
    """Every task that the agent knows."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        carry_out: "Callable[[TaskRecord, tuple[Command, ...], asyncio.Future[None]], None]",
        ended: Callable[[TaskRecord], None],
    ) -> None:
        """``carry_out`` gets a step's commands and the write to wait for; ``ended`` hears of tasks that
        stopped.
        """
        self._checkpoint = checkpoint
        self._carry_out = carry_out
        self._ended = ended
        self._records: dict[str, TaskRecord] = {}
        self._by_docker_name: dict[str, tuple[str, str]] = {}
        self.outbox = Outbox(self)
        self.health_news = asyncio.Event()

    def __iter__(self) -> Iterator[TaskRecord]:
        return iter(tuple(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def get(self, task_arn: str) -> TaskRecord | None:
        """A task, or None if it is not known."""
        return self._records.get(task_arn)

    def by_docker_name(self, docker_name: str) -> tuple[TaskRecord, str] | None:
        """The task and the container's own name, for a container that this agent has made."""
        found = self._by_docker_name.get(docker_name)
        return None if found is None else (self._records[found[0]], found[1])

    def add(self, record: TaskRecord) -> None:
        """Take a task in, without writing it: its first event does."""
        arn = record.plan.arn
        self._records[arn] = record
        for container, state in zip(record.plan.containers, record.state.containers, strict=True):
            self._by_docker_name[container.docker_name] = (arn, container.name)
            if state.known is Status.STOPPED:
                record.stopped[container.name].set()
        self.outbox.look_at(arn)

    def remove(self, record: TaskRecord, ended_at: float) -> "asyncio.Future[None]":
        """Forget a task but for the fact that it ended."""
        del self._records[record.plan.arn]
        for container in record.plan.containers:
            del self._by_docker_name[container.docker_name]
        self.outbox.look_at(record.plan.arn)
        return self._checkpoint.forget(record.plan.arn, ended_at)

    def apply(self, record: TaskRecord, event: Event) -> "asyncio.Future[None]":
        """Let ``event`` happen to a task; the result is done when what became of it is on disk."""
        before = record.state
        try:
            result = step(record.plan, before, event)
        except IllegalTransitionError:
            log.exception("impossible_event", task=record.plan.arn, story=list(record.story))
            return self.write(record)
        record.state = result.state
        record.story.append(result.reason)
        written = self.write(record)
        if result.state != before:
            self._tell(record, before, result.reason)
        if result.commands:
            self._carry_out(record, result.commands, written)
        if result.state.known is Status.STOPPED and before.known is not Status.STOPPED:
            self._ended(record)
        return written

    def write(self, record: TaskRecord) -> "asyncio.Future[None]":
        """Write a task's state with the next transaction."""
        return self._checkpoint.put(StoredTask(record.definition, record.plan, record.state))

    def _tell(self, record: TaskRecord, before: TaskState, reason: str) -> None:
        log.info("task_moved", task=record.plan.arn, what=reason)
        pairs = zip(record.plan.containers, before.containers, record.state.containers, strict=True)
        for container, old, new in pairs:
            if new.known is Status.STOPPED:
                record.stopped[container.name].set()
            if container.health_checked and old.health != new.health:
                self.health_news.set()
        self.outbox.look_at(record.plan.arn)

    # What the outbox asks of its store.

    def find(self, task_arn: str) -> tuple[TaskPlan, TaskState] | None:
        """A task's plan and state, or None if it is not known."""
        record = self._records.get(task_arn)
        return None if record is None else (record.plan, record.state)

    async def acknowledge(self, task_arn: str, state: TaskState) -> None:
        """Put a state with an acknowledgement in place; durable when it returns, unless it cannot be written.

        It is then written later, and a crash before that only has the task reported once more.
        """
        record = self._records[task_arn]
        record.state = state
        self.outbox.look_at(task_arn)
        await asyncio.wait([written := self.write(record)])
        if written.exception() is not None:
            log.warning("acknowledgement_not_on_disk_yet", task=task_arn)
