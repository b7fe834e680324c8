"""Placement: which instances get how many equal tasks, by one pure plan."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec

from controller.scheduler.seats import Candidate, PlacementRequest, Refusal, Seat, tests_of
from controller.scheduler.selection import build
from controller.scheduler.strategies import DEFAULT_STRATEGIES

__all__ = ["Candidate", "PlacementRequest", "Plan", "Refusal", "place"]


class Plan(msgspec.Struct, frozen=True):
    """Where the tasks of a request go."""

    placements: tuple[str, ...]
    """Ids of instances, one for each task that found a place, in order of choice; an id may appear again."""
    refusals: tuple[Refusal, ...] = ()
    """Why each candidate has no room for one more; empty when every task found a place."""
    shortfall: int = 0
    """Tasks that found no place."""


def place(request: PlacementRequest, candidates: Iterable[Candidate], random: Random) -> Plan:
    """Choose an instance for each of the request's tasks.

    Candidates are filtered (ACTIVE, connected, attributes, CPU, memory, host ports, GPUs, constraints), the
    rest is ranked by the strategy chain. Each placement counts for the next, as it would if it were made.
    The same arguments give the same plan, except for the random strategy, which draws from `random`.
    """
    tests = tests_of(request)
    seats = [Seat(candidate, request, tests) for candidate in candidates]
    tree = build(
        request.strategies or DEFAULT_STRATEGIES, [seat for seat in seats if seat.fits()], seats, random
    )
    placements: list[str] = []
    while len(placements) < request.count and tree.best() is not None:
        placements.append(tree.take().id)
    shortfall = request.count - len(placements)
    if not shortfall:
        return Plan(tuple(placements))
    refusals = tuple(refusal for seat in seats if (refusal := seat.refusal()) is not None)
    return Plan(tuple(placements), refusals, shortfall)
