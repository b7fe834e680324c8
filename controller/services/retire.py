"""What leaves the state in its time: ended tasks, for the history; client tokens and deleted task
definitions, for good."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

import structlog

from agent.protocol.clock import Clock
from controller.services.definitions import unused_definitions
from controller.state.changes import Cause, Change
from controller.state.entities import RunTaskToken, Task, TaskDefinition
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.indexes import ENDED_TASKS
from controller.state.kernel import State
from controller.state.lifecycle import holds_resources, is_ended

log = structlog.get_logger(__name__)

KEEP_ENDED_S = 3600.0
"""Seconds that an ended task stays in the state, as long as ECS shows it at least."""
KEEP_TOKENS_S = 24 * 3600.0
"""Seconds for which a RunTask call with the same client token starts nothing again."""
TURN_INTERVAL_S = 10.0
DEPARTURES_PER_TURN = 500
"""Tasks, and tokens, that leave at once at most; fifty a second are more than a cluster ends for long."""


class _Departures:
    """Keys in the order in which they are to leave. All stay equally long, so the first is due first."""

    def __init__(self, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._leaving: deque[tuple[float, str]] = deque()
        """Monotonic time at which something leaves, and its key."""

    def load(self, begun: Iterable[tuple[float, str]]) -> None:
        """Add what had begun to wait before this process did, by wall time: it stays for what is left."""
        now, wall = self._clock.monotonic(), self._clock.now()
        for at, key in sorted(begun):
            age = min(max(0.0, wall - at), self._keep_s)
            self._leaving.append((now + self._keep_s - age, key))

    def add(self, key: str) -> None:
        """Add what begins to wait now."""
        self._leaving.append((self._clock.monotonic() + self._keep_s, key))

    def due(self) -> list[str]:
        """The next keys whose time has come, some at a time."""
        now = self._clock.monotonic()
        keys: list[str] = []
        for at, key in self._leaving:
            if at > now or len(keys) == DEPARTURES_PER_TURN:
                break
            keys.append(key)
        return keys

    def gone(self, number: int) -> None:
        """Forget the first keys: they have left."""
        for _ in range(number):
            self._leaving.popleft()


class Retirement:
    """Lets ended tasks, old client tokens and unused deleted definitions go when their time has come."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._tasks = _Departures(clock, KEEP_ENDED_S)
        self._tokens = _Departures(clock, KEEP_TOKENS_S)
        read, wall = state.read(), clock.now()
        ended = read.select(ENDED_TASKS, True).values()
        self._tasks.load((task.stopped_at or wall, task.key) for task in ended)
        self._tokens.load((token.created_at, token.key) for token in read.all(RunTaskToken).values())
        state.subscribe(self._on_changes)

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                self._turn()
            except (StoreUnavailable, TooManyPendingWrites) as error:
                log.warning("retirement_postponed", reason=str(error) or type(error).__name__)
            await asyncio.sleep(TURN_INTERVAL_S)

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.new, Task) and _is_over(change.new) and not _is_over(change.old):
                self._tasks.add(change.key)
            elif isinstance(change.new, RunTaskToken) and change.old is None:
                self._tokens.add(change.key)

    def _turn(self) -> None:
        tasks, tokens = self._tasks.due(), self._tokens.due()
        definitions = unused_definitions(self._state.read())
        if not tasks and not tokens and not definitions:
            return
        with self._state.transaction(Cause("timer", "retirement")) as transaction:
            for key in tasks:
                task = transaction.get(Task, key)
                if task is not None:
                    self._state.history.retire_task(transaction, task)
            for key in tokens:
                transaction.delete(RunTaskToken, key)
            for definition in definitions:
                transaction.delete(TaskDefinition, definition.key, "nothing refers to it any more")
        self._tasks.gone(len(tasks))
        self._tokens.gone(len(tokens))
        log.debug("retired", tasks=len(tasks), tokens=len(tokens), definitions=len(definitions))


def _is_over(task: object) -> bool:
    """Whether a task has ended and holds nothing on its instance any more."""
    return isinstance(task, Task) and is_ended(task) and not holds_resources(task)
