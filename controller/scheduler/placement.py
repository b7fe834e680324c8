"""Placement: which instances get how many equal tasks, by one pure plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from controller.scheduler.capacity import is_in_pool, pools
from controller.scheduler.seats import Candidate, PlacementRequest, Refusal, Seat, tests_of
from controller.scheduler.selection import build
from controller.scheduler.strategies import DEFAULT_STRATEGIES

__all__ = ["Candidate", "PlacementRequest", "Plan", "Refusal", "place", "place_for_providers"]


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


def place_for_providers(
    request: PlacementRequest, providers: Sequence[str], candidates: Sequence[Candidate], random: Random
) -> tuple[Plan, list[str]]:
    """Choose an instance for each task of a capacity provider strategy; `providers` names that of each.

    Returns the plan, and the provider of each of its placements. Providers that share no instances are
    planned apart from each other.
    """
    placements: list[str] = []
    placed: list[str] = []
    refusals: list[Refusal] = []
    for pool, names in pools(providers).items():
        own = [candidate for candidate in candidates if is_in_pool(candidate.instance, pool)]
        plan = place(replace(request, count=len(names)), own, random)
        placements += plan.placements
        placed += names[: len(plan.placements)]
        refusals += plan.refusals
    return Plan(tuple(placements), tuple(refusals), len(providers) - len(placements)), placed
