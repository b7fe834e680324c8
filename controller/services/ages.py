"""How long ago things happened, whatever the wall clock does meanwhile."""

from __future__ import annotations

from agent.protocol.clock import Clock

RESOLUTION_S = 0.001
"""What is left of a wait below this is rounding: waiting for it might not move the clock at all."""


class Ages:
    """Ages of events whose wall time is stored.

    The wall clock is asked once, when an event is seen for the first time (just now, or after the
    controller's start); from then on its age grows with the monotonic clock, so that a jump of the wall
    clock changes no age.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, float], float] = {}
        self._asked: dict[tuple[str, float], float] = {}

    def of(self, subject: str, since: float) -> float:
        """Seconds since `since`, the wall time at which something happened to `subject`; never negative."""
        now = self._clock.monotonic()
        key = (subject, since)
        start = self._asked.get(key, self._known.get(key))
        if start is None:
            start = now - max(0.0, self._clock.now() - since)
        self._asked[key] = start
        return now - start

    def remaining(self, subject: str, since: float, seconds: float) -> float:
        """Seconds until something will have happened so many seconds ago; 0 once it has."""
        left = seconds - self.of(subject, since)
        return left if left > RESOLUTION_S else 0.0

    def forget_unasked(self) -> None:
        """Forget what nobody has asked for since the last call."""
        self._known, self._asked = self._asked, {}
