"""Scale-in protection ends by itself when its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from agent.protocol.clock import Clock
from controller.state.changes import Cause, Change
from controller.state.entities import Task
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.indexes import PROTECTED_TASKS
from controller.state.kernel import State
from controller.state.lifecycle import is_ended

log = structlog.get_logger(__name__)

TURN_INTERVAL_S = 1.0


class _End(msgspec.Struct, frozen=True):
    """When a protection ends."""

    stored: float
    """By wall time, as the task's record says."""
    at: float
    """By the monotonic clock, which decides."""


class ProtectionEnd:
    """Takes the protection from tasks when it is over.

    What is left of a protection is counted from when it was set, or from the controller's start, by the
    monotonic clock: a jump of the wall clock ends none.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._ends: dict[str, _End] = {}
        for task in state.read().select(PROTECTED_TASKS, True).values():
            self._note(task)
        state.subscribe(self._on_changes)

    async def run(self) -> None:
        """Work for ever."""
        while True:
            await asyncio.sleep(TURN_INTERVAL_S)
            try:
                self._turn()
            except (StoreUnavailable, TooManyPendingWrites) as error:
                log.warning("protection_not_ended", reason=str(error) or type(error).__name__)

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.new, Task):
                self._note(change.new)
            elif change.kind is Task:
                self._ends.pop(change.key, None)

    def _note(self, task: Task) -> None:
        if task.protected_until is None or is_ended(task):
            self._ends.pop(task.key, None)
            return
        known = self._ends.get(task.key)
        if known is None or known.stored != task.protected_until:
            remaining = max(0.0, task.protected_until - self._clock.now())
            self._ends[task.key] = _End(task.protected_until, self._clock.monotonic() + remaining)

    def _turn(self) -> None:
        now = self._clock.monotonic()
        over = {key: end for key, end in self._ends.items() if end.at <= now}
        if not over:
            return
        with self._state.transaction(Cause("timer", "protection")) as transaction:
            for key, end in over.items():
                task = transaction.get(Task, key)
                if task is not None and task.protected_until == end.stored:
                    ended = msgspec.structs.replace(task, protected_until=None)
                    transaction.put(ended, "its protection has expired")
        for key in over:
            del self._ends[key]
