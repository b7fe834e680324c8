"""Which services to look at, now and later."""

from __future__ import annotations

from heapq import heappop, heappush


class Agenda:
    """Keys that are due, in the order in which they became so, and keys that become due at a time.

    Times are of the monotonic clock. A key is due once however often it was marked.
    """

    def __init__(self) -> None:
        self._due: dict[str, None] = {}
        self._later: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._held: dict[str, float] = {}

    def mark(self, key: str, now: float) -> None:
        """Have a key looked at as soon as it is not held back."""
        held_until = self._held.get(key, 0.0)
        if held_until > now:
            self.mark_at(key, held_until)
        else:
            self._held.pop(key, None)
            self._due[key] = None

    def mark_at(self, key: str, at: float) -> None:
        """Have a key looked at at a time; an earlier time that was asked for stands."""
        at = max(at, self._held.get(key, 0.0))
        if self._later.get(key, float("inf")) > at:
            self._later[key] = at
            heappush(self._heap, (at, key))

    def hold(self, key: str, until: float) -> None:
        """Do not have a key looked at before a time, whoever marks it."""
        self._held[key] = until

    def next(self, now: float) -> str | None:
        """The next key that is due, and no longer due hereafter."""
        while self._heap and self._heap[0][0] <= now:
            at, key = heappop(self._heap)
            if self._later.get(key) == at:
                del self._later[key]
                self._held.pop(key, None)
                self._due[key] = None
        if not self._due:
            return None
        key = next(iter(self._due))
        del self._due[key]
        return key

    def next_time(self) -> float | None:
        """When the next key becomes due, if none is now."""
        while self._heap and self._later.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def forget(self, key: str) -> None:
        """Drop a key and its hold."""
        self._due.pop(key, None)
        self._later.pop(key, None)
        self._held.pop(key, None)
