"""Bounded pools of threads for calls that block.

Unlike the standard library's executor the threads are daemons, so that a hung Docker engine cannot keep the
process from ending, and urgent calls overtake the others that wait.
"""

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_JOIN_STEPS = 100
_JOIN_STEP_S = 0.01


class LaneClosedError(Exception):
    """The lane takes no more calls."""


class Lane:
    """Runs blocking calls, at most ``size`` at a time, the lowest priority number first, else in order of
    arrival.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._threads: list[threading.Thread] = []
        self._waiting: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def call(self, function: Callable[[], T], priority: int = 1) -> T:
        """Run ``function`` in a thread and return what it returns, or raise what it raises.

        A cancelled caller leaves the thread to finish by itself. Raises ``LaneClosedError`` after ``close``.
        """
        if self._closed:
            raise LaneClosedError(self._name)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        self._jobs.put((priority, next(self._order), lambda: _run(function, future, loop)))
        if len(self._threads) < min(self._size, len(self._waiting)):
            self._add_thread()
        return await future

    def _add_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()[2]
            if job is None:
                return
            job()

    async def close(self) -> None:
        """Refuse further calls, cancel those that wait and let each thread end after what it is doing.

        Waits a second altogether; a thread that the engine holds longer is left behind as a daemon.
        """
        self._closed = True
        for future in tuple(self._waiting):
            future.cancel()
        for _ in self._threads:
            self._jobs.put((-1, next(self._order), None))
        for _ in range(_JOIN_STEPS):
            if not any(thread.is_alive() for thread in self._threads):
                return
            await asyncio.sleep(_JOIN_STEP_S)


def _run(function: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    if future.cancelled():
        return
    try:
        result = function()
    except Exception as error:  # noqa: BLE001  carried to the caller, who handles it
        _post(loop, _fail, future, error)
    else:
        _post(loop, _finish, future, result)


def _post(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    """Hand an answer to the loop; a loop that has ended meanwhile has nobody left who waits for it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *arguments)


def _finish(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
