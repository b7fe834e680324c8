"""The order in which instances get tasks: a strategy chain as a tree of heaps.

Strategies compare lexicographically: the second decides where the first sees no difference. Each leading
spread over an attribute is a level of the tree, with one branch a value, so that a placement touches one
path and not every instance. What follows ranks the instances of a branch; there a placement only makes its
own instance, or instances that share a value with it, less attractive, so that a heap with keys brought up
to date on their way out is enough.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any, Protocol

from controller.scheduler.seats import Seat
from controller.scheduler.strategies import Strategy

Key = tuple[Any, ...]
"""Keys of the same tree level compare with each other; the least goes first."""


class Branch(Protocol):
    """A part of the tree."""

    def best(self) -> Key | None:
        """Key of the seat that would be taken next; None when none is left."""

    def take(self) -> Seat:
        """Put a task on the best seat and return it. There must be one."""


def build(
    chain: Sequence[Strategy], seats: Sequence[Seat], everyone: Sequence[Seat], random: Random
) -> Branch:
    """The tree of a strategy chain over `seats`, which have room.

    `everyone` are these and the instances without room: their tasks count when tasks are spread over
    attributes.
    """
    if chain and chain[0].type == "spread" and chain[0].field:
        return _Spread(chain, seats, everyone, random)
    if chain and chain[0].type == "random":
        return _Shuffled(seats, random)
    return _Ranked(chain, seats, everyone, random)


def value_of(seat: Seat, attribute: str) -> str:
    """An instance's value of an attribute; instances without it share the value ""."""
    for candidate in seat.candidate.instance.attributes:
        if candidate.name == attribute:
            return candidate.value or ""
    return ""


def _tasks_by_value(everyone: Sequence[Seat], attribute: str) -> Counter[str]:
    """Tasks of the group by attribute value. Those on DRAINING instances are about to go and do not count."""
    counts: Counter[str] = Counter()
    for seat in everyone:
        if seat.group_tasks and seat.candidate.instance.status == "ACTIVE":
            counts[value_of(seat, attribute)] += seat.group_tasks
    return counts


class _Spread:
    """One branch a value of an attribute; the branch with the fewest tasks of the group goes first."""

    def __init__(
        self, chain: Sequence[Strategy], seats: Sequence[Seat], everyone: Sequence[Seat], random: Random
    ) -> None:
        attribute = chain[0].field
        open_by_value = _by_value(seats, attribute)
        all_have_room = len(seats) == len(everyone)
        all_by_value = open_by_value if all_have_room else _by_value(everyone, attribute)
        self._counts = _tasks_by_value(everyone, attribute)
        self._branches = {
            value: build(chain[1:], open_seats, all_by_value[value], random)
            for value, open_seats in open_by_value.items()
        }
        self._heap: list[Key] = []
        for value in self._branches:
            self._push(value)

    def best(self) -> Key | None:
        return self._heap[0] if self._heap else None

    def take(self) -> Seat:
        *_, value = heappop(self._heap)
        seat = self._branches[value].take()
        self._counts[value] += 1
        self._push(value)
        return seat

    def _push(self, value: str) -> None:
        best = self._branches[value].best()
        if best is not None:
            heappush(self._heap, (self._counts[value], best, value))


class _Shuffled:
    """Every seat with room is as likely as every other."""

    def __init__(self, seats: Sequence[Seat], random: Random) -> None:
        self._seats = list(seats)
        self._random = random
        self._next = 0
        self._draw()

    def best(self) -> Key | None:
        return (self._rank,) if self._seats else None

    def take(self) -> Seat:
        seat = self._seats[self._next]
        seat.place()
        if not seat.fits():
            self._seats[self._next] = self._seats[-1]
            self._seats.pop()
        self._draw()
        return seat

    def _draw(self) -> None:
        self._rank = self._random.random()
        self._next = self._random.randrange(len(self._seats)) if self._seats else 0


class _Ranked:
    """Seats by a key: the rest of the chain, then fewest tasks of the group, fewest tasks at all, and the
    id."""

    def __init__(
        self, chain: Sequence[Strategy], seats: Sequence[Seat], everyone: Sequence[Seat], random: Random
    ) -> None:
        self._counters = {
            strategy.field: _tasks_by_value(everyone, strategy.field)
            for strategy in chain
            if strategy.type == "spread" and strategy.field
        }
        self._parts = [self._part(strategy, random) for strategy in chain]
        self._heap = [(self._key(seat), seat.id, seat) for seat in seats]
        heapify(self._heap)

    def best(self) -> Key | None:
        while self._heap:
            key, seat_id, seat = self._heap[0]
            if not self._counters:
                return key
            current = self._key(seat)
            if current == key:
                return key
            heappop(self._heap)
            heappush(self._heap, (current, seat_id, seat))
        return None

    def take(self) -> Seat:
        self.best()
        _, seat_id, seat = heappop(self._heap)
        seat.place()
        for attribute, counter in self._counters.items():
            counter[value_of(seat, attribute)] += 1
        if seat.fits():
            heappush(self._heap, (self._key(seat), seat_id, seat))
        return seat

    def _key(self, seat: Seat) -> Key:
        return (*(part(seat) for part in self._parts), seat.group_tasks, seat.total_tasks)

    def _part(self, strategy: Strategy, random: Random) -> Callable[[Seat], float]:
        if strategy.type == "random":
            ranks: defaultdict[str, float] = defaultdict(random.random)
            return lambda seat: ranks[seat.id]
        if strategy.type == "binpack":
            return _cpu_left if strategy.field == "cpu" else _memory_left
        if not strategy.field:
            return _group_tasks
        counter = self._counters[strategy.field]
        return lambda seat: counter[value_of(seat, strategy.field)]


def _cpu_left(seat: Seat) -> float:
    return seat.cpu


def _memory_left(seat: Seat) -> float:
    return seat.memory


def _group_tasks(seat: Seat) -> float:
    return seat.group_tasks


def _by_value(seats: Sequence[Seat], attribute: str) -> dict[str, list[Seat]]:
    groups: dict[str, list[Seat]] = {}
    for seat in seats:
        groups.setdefault(value_of(seat, attribute), []).append(seat)
    return groups
