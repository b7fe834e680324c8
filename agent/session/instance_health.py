"""Whether the container engine works, as last looked at."""

import asyncio
from typing import Protocol

from agent.protocol import tcs
from agent.protocol.clock import Clock

CHECK_INTERVAL_S = 5.0
"""The shortest time between two looks; heartbeats may ask more often."""


class Pingable(Protocol):
    """Whatever can tell whether the container engine answers, within bounded time."""

    async def healthy(self) -> bool: ...


class InstanceHealth:
    """The instance status ``ContainerRuntime``. Heartbeats of the controller ask for a fresh look."""

    def __init__(self, engine: Pingable, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._status = "INITIALIZING"
        self._changed_at = clock.now()
        self._updated_at = clock.now()
        self._asked = asyncio.Event()
        self._fresh = asyncio.Event()

    def ask(self) -> None:
        """Ask for a look at the engine, without waiting for it."""
        self._asked.set()

    async def run(self) -> None:
        """Look whenever asked, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._note("OK" if await self._engine.healthy() else "IMPAIRED")
            await asyncio.sleep(CHECK_INTERVAL_S)

    def _note(self, status: str) -> None:
        self._updated_at = self._clock.now()
        if status != self._status:
            self._status, self._changed_at = status, self._updated_at
            self._fresh.set()

    async def wait_for_change(self) -> None:
        """Return when the status has changed since the last return."""
        await self._fresh.wait()
        self._fresh.clear()

    def status(self) -> tcs.InstanceStatus:
        """The status as it is published."""
        return tcs.InstanceStatus(
            type="ContainerRuntime",
            status=self._status,
            status_reason="the container engine does not answer" if self._status == "IMPAIRED" else None,
            last_updated=round(self._updated_at, 3),
            last_status_change=round(self._changed_at, 3),
        )
