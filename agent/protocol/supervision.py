"""Long-lived tasks of a process: named, watched, ended in order.

A root task is meant to run for as long as the process does. If one ends or fails, the process has lost a part
that it cannot work without, so the others are ended and the process with them; whoever started it starts it
again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

STOP_ALLOWANCE_S = 5.0
"""How long one root task may take to end once it is cancelled."""


class RootTaskFailed(Exception):
    """A root task failed or ended though it should run for ever; its own exception, if any, is the cause."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"root task {name!r} ended unexpectedly")


class Supervisor:
    """Runs root tasks until told to stop or until one of them ends."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        """``on_failure`` is told the task's name and exception as soon as a root task fails, for the log."""
        self._on_failure = on_failure
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a root task. Later ones are ended first, so start what others depend on before them."""
        if name in self._tasks:
            coroutine.close()
            raise ValueError(f"root task {name!r} exists already")
        task = asyncio.create_task(coroutine, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._ended.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(task.get_name(), error)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait until ``stop`` is set or a root task ends, then end all of them in reverse order of spawning.

        Raises ``RootTaskFailed`` from the task's exception if a root task ended before ``stop`` was set.
        """
        try:
            await _first_of(stop, self._ended)
            ended = [] if stop.is_set() else [task for task in self._tasks.values() if task.done()]
        finally:
            await self._end_all()
        if ended:
            first = ended[0]
            cause = None if first.cancelled() else first.exception()
            raise RootTaskFailed(first.get_name()) from cause

    async def _end_all(self) -> None:
        for task in reversed(self._tasks.values()):
            task.cancel()
            # A task that ignores its cancellation must not keep the others from ending.
            await asyncio.wait([task], timeout=STOP_ALLOWANCE_S)


async def _first_of(*events: asyncio.Event) -> None:
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
