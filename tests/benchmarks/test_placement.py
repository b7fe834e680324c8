"""Placement decisions a second in process: plans of many tasks, and single tasks one after the other.

Full mode: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_placement.py`.
"""

from __future__ import annotations

import time
from random import Random

import pytest

from controller.scheduler.constraints import UNCONSTRAINED, Constraints, parse_constraints
from controller.scheduler.demand import Demand
from controller.scheduler.placement import Candidate, PlacementRequest, place
from controller.scheduler.strategies import Strategy
from controller.state.entities import Attribute, ContainerInstance
from controller.state.usage import InstanceUsage
from tests.benchmarks.report import FULL, say

SIZES = (100, 1_000, 5_000, 10_000) if FULL else (1_000,)
ROUNDS = 7 if FULL else 3
PLAN = 1_000
CAPABILITIES = tuple(Attribute(f"com.amazonaws.ecs.capability.c{number}") for number in range(30))
DEMAND = Demand(cpu=64, memory=128, required_attributes=("com.amazonaws.ecs.capability.c7",))

ON_SSD = parse_constraints([{"type": "memberOf", "expression": "attribute:disk == ssd"}])
DISTINCT = parse_constraints([{"type": "distinctInstance"}])
BY_ZONE = Strategy("spread", "ecs.availability-zone")
CASES: dict[str, tuple[tuple[Strategy, ...], Constraints]] = {
    "random": ((Strategy("random"),), UNCONSTRAINED),
    "spread zone then instance": ((BY_ZONE, Strategy("spread")), UNCONSTRAINED),
    "binpack memory": ((Strategy("binpack", "memory"),), UNCONSTRAINED),
    "binpack memory, memberOf": ((Strategy("binpack", "memory"),), ON_SSD),
    "distinctInstance": ((), DISTINCT),
}


def _cluster(size: int) -> list[Candidate]:
    """Instances of three zones, every other one with an SSD, filled to different degrees."""
    random = Random(size)
    found = []
    for number in range(size):
        usage = InstanceUsage()
        usage.cpu = random.randrange(0, 14_000)
        usage.memory = random.randrange(0, 28_000)
        zone, disk = "abc"[number % 3], ("ssd", "hdd")[number % 2]
        attributes = (Attribute("ecs.availability-zone", zone), Attribute("disk", disk), *CAPABILITIES)
        instance = ContainerInstance(
            cluster="default",
            id=f"{number:032x}",
            ec2_instance_id=f"mi-{number}",
            cpu=16_384,
            memory=32_768,
            attributes=attributes,
            registered_at=0.0,
        )
        found.append(Candidate(instance=instance, usage=usage, connected=True))
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", SIZES)
def test_decisions_a_second(size: int, name: str) -> None:
    strategies, constraints = CASES[name]
    candidates = _cluster(size)
    for count in (PLAN, 1):
        request = PlacementRequest(
            demand=DEMAND, group="service:web", constraints=constraints, strategies=strategies, count=count
        )
        rates = []
        for seed in range(ROUNDS):
            started = time.perf_counter()
            plan = place(request, candidates, Random(seed))
            rates.append(len(plan.placements) / (time.perf_counter() - started))
            assert plan.placements
        say(f"placement of {count} tasks, {size} instances, {name}", rates, "decisions/s")
