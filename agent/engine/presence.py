"""Whether the Docker engine is there, and what is done with work that meets an engine that is not.

An engine that is being restarted, or that hangs, says nothing about the containers: nothing is taken for
stopped, and nothing for impossible. Work waits until the engine answers again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import TypeVar

import structlog

from agent.engine.docker import Docker
from agent.engine.errors import DockerTimeoutError, EngineError, EngineUnavailableError
from agent.protocol.clock import Clock

T = TypeVar("T")
log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = (0.1, 0.2, 0.5, 1.0, 2.0)


class EnginePresence:
    """Knows since when the engine is away, looks until it is back, and tells of both."""

    def __init__(self, docker: Docker, clock: Clock, back: Callable[[], None]) -> None:
        """``back`` is called when the engine is back."""
        self._docker = docker
        self._clock = clock
        self._back = back
        self._absence = ""
        self._away_since = 0.0
        self._here = asyncio.Event()
        self._here.set()
        self._away = asyncio.Event()

    @property
    def absence(self) -> str:
        """How it showed that the engine is away; empty while it is there."""
        return self._absence

    async def check(self) -> bool:
        """Ask the engine for a sign of life; takes five seconds at most."""
        try:
            await self._docker.ping()
        except EngineError as error:
            self._lost(error.reason)
            return False
        self._found()
        return True

    async def watch(self) -> None:
        """Look for an engine that is away until it is back, for ever."""
        while True:
            await self._away.wait()
            pauses = chain(_LOOK_AGAIN_S, repeat(_LOOK_AGAIN_S[-1]))
            while not await self.check():
                await asyncio.sleep(next(pauses))

    async def outlast(
        self,
        work: Callable[[int], Awaitable[T]],
        *,
        wanted: Callable[[], bool],
        waiting: Callable[[str], None],
    ) -> T:
        """Do ``work`` when the engine is there, and again when the engine went away over it, as long as it is
        ``wanted``.

        The work gets the number of times that it was tried before. ``waiting`` is told what it waits for.
        Raises the ``EngineError`` of the work: at once where the engine is there, else when the work is not
        wanted any more.
        """
        tried = 0
        while True:
            try:
                await self._until_back(wanted, waiting)
                return await work(tried)
            except (EngineUnavailableError, DockerTimeoutError) as error:
                if not wanted():
                    raise
                # An engine that answers and yet takes too long over a call is a matter of that call.
                if isinstance(error, DockerTimeoutError) and await self.check():
                    raise
                self._lost(error.reason)
            tried += 1

    async def _until_back(self, wanted: Callable[[], bool], waiting: Callable[[str], None]) -> None:
        """Wait for an engine that is away. Raises ``EngineUnavailableError`` once nobody wants it."""
        if not self._absence:
            return
        waiting(f"waits for the Docker engine, which does not answer: {self._absence}")
        while self._absence:
            if not wanted():
                raise EngineUnavailableError(f"the Docker engine does not answer: {self._absence}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._here.wait(), _LOOK_AGAIN_S[-1])

    def _lost(self, reason: str) -> None:
        if self._here.is_set():
            self._absence, self._away_since = reason, self._clock.monotonic()
            self._here.clear()
            self._away.set()
            log.warning("engine_away", reason=reason)

    def _found(self) -> None:
        if not self._here.is_set():
            log.info("engine_back", away_for_s=round(self._clock.monotonic() - self._away_since, 1))
            self._absence = ""
            self._away.clear()
            self._here.set()
            self._back()
