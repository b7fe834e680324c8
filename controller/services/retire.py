"""Ended tasks leave the state for the history, an hour after they ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from agent.protocol.clock import Clock
from controller.state.changes import Cause, Change
from controller.state.entities import Task
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.indexes import ENDED_TASKS
from controller.state.kernel import State
from controller.state.lifecycle import holds_resources, is_ended

log = structlog.get_logger(__name__)

KEEP_ENDED_S = 3600.0
"""Seconds that an ended task stays in the state, as long as ECS shows it at least."""
TURN_INTERVAL_S = 10.0
TASKS_PER_TURN = 500
"""Tasks that leave at once at most; fifty a second are more than a cluster ends for long."""


class TaskRetirement:
    """Keeps the ended tasks in the order in which they are to leave, and lets them go when their time has
    come."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._leaving: deque[tuple[float, str]] = deque()
        """Monotonic time at which a task leaves, and its key; all stay equally long, so the first is due
        first."""
        self._load()
        state.subscribe(self._on_changes)

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                self._turn()
            except (StoreUnavailable, TooManyPendingWrites) as error:
                log.warning("task_retirement_postponed", reason=str(error) or type(error).__name__)
            await asyncio.sleep(TURN_INTERVAL_S)

    def _load(self) -> None:
        """Tasks that had ended before this process began stay for what is left of their time."""
        now, wall = self._clock.monotonic(), self._clock.now()
        ended = self._state.read().select(ENDED_TASKS, True).values()
        for task in sorted(ended, key=lambda task: task.stopped_at or wall):
            age = min(max(0.0, wall - (task.stopped_at or wall)), KEEP_ENDED_S)
            self._leaving.append((now + KEEP_ENDED_S - age, task.key))

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.new, Task) and _is_over(change.new) and not _is_over(change.old):
                self._leaving.append((self._clock.monotonic() + KEEP_ENDED_S, change.key))

    def _turn(self) -> None:
        now = self._clock.monotonic()
        due: list[str] = []
        for at, key in self._leaving:
            if at > now or len(due) == TASKS_PER_TURN:
                break
            due.append(key)
        if not due:
            return
        with self._state.transaction(Cause("timer", "task-retirement")) as transaction:
            for key in due:
                task = transaction.get(Task, key)
                if task is not None:
                    self._state.history.retire_task(transaction, task)
        for _ in due:
            self._leaving.popleft()
        log.debug("tasks_retired", number=len(due))


def _is_over(task: object) -> bool:
    """Whether a task has ended and holds nothing on its instance any more."""
    return isinstance(task, Task) and is_ended(task) and not holds_resources(task)
