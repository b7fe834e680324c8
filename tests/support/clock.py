"""A clock that tests move, and an event loop that moves it.

On a `FakeLoop`, time stands still while there is anything to do. As soon as the loop would have to wait for
its next timer, time jumps to that timer, so that hours of `asyncio.sleep` pass in milliseconds and every
duration that a test measures is exact.

Work in threads (`asyncio.to_thread`, `run_in_executor`) takes real time: fake time stands still until it has
finished. Sockets, pipes and subprocesses are refused, because nobody can tell how much fake time an answer
from outside should take; such tests use the real loop.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, NoReturn, TypeVar, TypeVarTuple

EPOCH_AT_START = 1_767_225_600.0
"""What a new `FakeClock` shows as wall time: 2026-01-01T00:00:00Z."""

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")

_THREAD_PATIENCE_S = 30.0
_IDLE_PATIENCE_S = 2.0


class NothingWillHappen(RuntimeError):
    """The loop waits for something that can never come: no timer, no thread and no I/O is left."""


class RealInputOutputRefused(RuntimeError):
    """Somebody tried to wait for a socket, a pipe or a subprocess on a fake loop."""


class FakeClock:
    """An `agent.protocol.clock.Clock` that moves only when told to (or when its `FakeLoop` goes idle)."""

    def __init__(self, wall: float = EPOCH_AT_START) -> None:
        self._wall_at_zero = wall
        self._monotonic = 0.0

    def now(self) -> float:
        """Wall time in seconds since the epoch."""
        return self._wall_at_zero + self._monotonic

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks; timers of a `FakeLoop` that became due run on its next turn."""
        if seconds < 0:
            raise ValueError("time does not run backwards; use jump_wall() to set the wall clock")
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; monotonic time does not notice."""
        self._wall_at_zero += seconds


class _JumpingSelector(selectors.BaseSelector):
    """Polls the real selector, and lets fake time pass in place of waiting."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._real = selectors.DefaultSelector()
        self.thread_work: set[asyncio.Future[Any]] = set()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.thread_work:
            ready = self._real.select(_THREAD_PATIENCE_S)
            if not ready:
                raise NothingWillHappen(
                    f"a thread did not finish within {_THREAD_PATIENCE_S:.0f} s of real time"
                )
            return ready
        if timeout is None:
            ready = self._real.select(_IDLE_PATIENCE_S)
            if not ready:
                raise NothingWillHappen(
                    "every task waits, and no timer, thread or I/O is left that could wake one: "
                    + _describe_tasks()
                )
            return ready
        self._clock.advance(timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class FakeLoop(asyncio.SelectorEventLoop):
    """An event loop that lives in the time of its `clock`."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self._jumping_selector = _JumpingSelector(self.clock)
        super().__init__(self._jumping_selector)

    def time(self) -> float:
        return self.clock.monotonic()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Args], _Result], *args: *_Args
    ) -> asyncio.Future[_Result]:
        work = super().run_in_executor(executor, func, *args)
        self._jumping_selector.thread_work.add(work)
        work.add_done_callback(self._jumping_selector.thread_work.discard)
        return work


def _refusal(what: str) -> Callable[..., NoReturn]:
    def refuse(self: FakeLoop, *args: object, **options: object) -> NoReturn:
        raise RealInputOutputRefused(f"a fake loop {what}; use the real loop for this test")

    return refuse


# asyncio's own wake-up pipe uses the underscored methods of the parent; everything that reaches for a file
# descriptor or a process passes through one of these.
for _method, _what in {
    "add_reader": "waits for no file descriptors",
    "add_writer": "waits for no file descriptors",
    "connect_read_pipe": "reads no pipes",
    "connect_write_pipe": "writes no pipes",
    "create_connection": "opens no connections",
    "create_datagram_endpoint": "opens no sockets",
    "create_server": "serves no sockets",
    "create_unix_connection": "opens no connections",
    "create_unix_server": "serves no sockets",
    "sock_accept": "serves no sockets",
    "sock_connect": "opens no connections",
    "sock_recv": "reads no sockets",
    "sock_sendall": "writes no sockets",
    "subprocess_exec": "starts no processes",
    "subprocess_shell": "starts no processes",
}.items():
    setattr(FakeLoop, _method, _refusal(_what))


def _describe_tasks() -> str:
    waiting = [task for task in asyncio.all_tasks(asyncio.get_running_loop()) if not task.done()]
    return ", ".join(sorted(f"{task.get_name()} ({task.get_coro()!r})" for task in waiting)) or "no tasks"
