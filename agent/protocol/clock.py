"""The only place that reads a clock. Everything else is handed a ``Clock``."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time. Sleeping is ``asyncio.sleep``; tests replace both together."""

    def now(self) -> float:
        """Wall-clock time in epoch seconds. May jump; use it only for what people and other machines see."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin that never go backwards. Use it for every timeout and interval."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
