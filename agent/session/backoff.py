"""How long to wait before the next attempt.

The waits of many agents that lost the same controller must not fall together, so each is drawn from the
whole range between nothing and the current limit ("full jitter").
"""

from random import Random

FIRST_LIMIT_S = 0.25
LIMIT_S = 5.0
"""The longest wait. It is short because a host is given up seconds after its last sign of life."""


class Backoff:
    """Waits that may grow with every failure in a row."""

    def __init__(self, random: Random, limit_s: float = LIMIT_S) -> None:
        self._random = random
        self._limit_s = limit_s
        self._next_limit_s = FIRST_LIMIT_S

    def next_wait_s(self) -> float:
        """The wait after one more failure, in seconds."""
        wait = self._random.uniform(0, self._next_limit_s)
        self._next_limit_s = min(self._limit_s, 2 * self._next_limit_s)
        return wait

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._next_limit_s = FIRST_LIMIT_S
