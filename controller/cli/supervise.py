"""Keeping child processes running: what `homeport up` does for the controller and the agent."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
GOOD_RUN_S = 60.0
"""A process that ran at least this long starts again after the shortest delay."""
STOP_PATIENCE_S = 20.0
"""How long a process may take to end after SIGTERM; then it is killed."""


class Child(Protocol):
    """A process that can be started any number of times, once at a time."""

    name: str

    async def start(self) -> None:
        """Start it. Raises `OSError` if that is not possible."""
        ...

    async def wait(self) -> int:
        """Wait for its end and return its status (the negative signal number if a signal ended it)."""
        ...

    async def stop(self) -> None:
        """End it if it runs: politely first, by force after `STOP_PATIENCE_S`."""
        ...


class ProcessChild:
    """A real process. It shares the terminal's output, but not the terminal's Ctrl-C: its end is ordered."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = [*_ends_with_its_parent(), *command]
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )

    async def wait(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return await self._process.wait()

    @property
    def status(self) -> int | None:
        """None while it runs."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.returncode

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _ends_with_its_parent() -> list[str]:
    """Even if `homeport up` itself is killed, its children get a SIGTERM (util-linux has the means)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


async def keep_running(child: Child, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Start a running child anew whenever it ends, with growing delays, until `stop` is set.

    Ends without stopping the child: in which order children are stopped is for the caller to decide.
    """
    loop = asyncio.get_running_loop()
    delay = FIRST_DELAY_S
    started = loop.time()
    while True:
        status = await _wait_or_stop(child, stop)
        if status is None:
            return
        if loop.time() - started >= GOOD_RUN_S:
            delay = FIRST_DELAY_S
        say(f"the {child.name} ended {how(status)}; starting it again in {delay:g} s")
        if await _is_set_within(stop, delay):
            return
        delay = min(2 * delay, LONGEST_DELAY_S)
        started = loop.time()
        await child.start()


async def _wait_or_stop(child: Child, stop: asyncio.Event) -> int | None:
    """The child's exit status, or None if `stop` was set before it ended."""
    ended = asyncio.ensure_future(child.wait())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else ended.result()
    finally:
        ended.cancel()
        stopped.cancel()
        await asyncio.gather(ended, stopped, return_exceptions=True)


async def _is_set_within(stop: asyncio.Event, delay: float) -> bool:
    try:
        async with asyncio.timeout(delay):
            return await stop.wait()
    except TimeoutError:
        return False


def how(status: int) -> str:
    """An exit status in words."""
    return f"with status {status}" if status >= 0 else f"by signal {-status}"
