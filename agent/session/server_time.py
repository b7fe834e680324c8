"""The controller's time, which signatures are made with.

A signature is refused when its time is minutes off, so an agent whose wall clock is wrong could never say
so. It takes the time from the ``Date`` header of the controller's answers, the refusals included, and
carries it on with the monotonic clock, so that a jump of its own wall clock changes nothing.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from agent.protocol.clock import Clock

SKEW_WORTH_NOTICE_S = 30.0
_HALF_OF_ITS_RESOLUTION_S = 0.5


class ServerTime:
    """Wall time as the controller has it; this machine's own until a controller has answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_zero: float | None = None

    def now(self) -> float:
        """Epoch seconds."""
        if self._at_zero is None:
            return self._clock.now()
        return self._at_zero + self._clock.monotonic()

    @property
    def skew_s(self) -> float:
        """How far this machine's wall clock is ahead of the controller's."""
        return self._clock.now() - self.now()

    def observe(self, headers: Mapping[str, str]) -> bool:
        """Take the time from an answer's headers. True if signatures made before were noticeably off."""
        try:
            date = parsedate_to_datetime(headers.get("Date", "")).timestamp() + _HALF_OF_ITS_RESOLUTION_S
        except ValueError:
            return False
        was_off = abs(self.now() - date) > SKEW_WORTH_NOTICE_S
        if was_off or self._at_zero is None:
            self._at_zero = date - self._clock.monotonic()
        return was_off
