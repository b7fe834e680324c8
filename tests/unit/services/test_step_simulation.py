"""The step in a random world: within its limits always, finished in the end unless it cannot.

8,400 runs by default; HOMEPORT_FULL_SIMULATION=1 makes 105,000.
"""

from __future__ import annotations

import itertools
import os
from random import Random

import pytest
from msgspec.structs import replace

from controller.services.limits import cannot_roll, minimum_healthy
from tests.unit.services.simulation import World, deployment, service

SEEDS = 25 if os.environ.get("HOMEPORT_FULL_SIMULATION") else 2

SCENARIOS = (
    "rolling",
    "half drained",
    "all drained",
    "rolling and half drained",
    "scale-in while rolling",
    "a third unhealthy",
    "rolling with mishaps",
)
CASES = [
    (desired, minimum, maximum)
    for desired, minimum, maximum in itertools.product(
        range(1, 11), (0, 25, 50, 75, 90, 100), (100, 110, 125, 150, 200)
    )
]


def _world(scenario: str, desired: int, minimum: int, maximum: int, *, plentiful: bool) -> World:
    first = replace(deployment(1), rollout_state="COMPLETED")
    rolling = "rolling" in scenario or scenario == "a third unhealthy"
    world = World(
        service=service(desired, minimum, maximum),
        primary=deployment(2) if rolling else first,
        older=[replace(first, status="ACTIVE")] if rolling else [],
        room=100 if plentiful else desired,
    )
    drained = {"half drained": desired // 2, "all drained": desired, "rolling and half drained": desired // 2}
    unhealthy = desired // 3 if scenario == "a third unhealthy" else 0
    for number in range(desired):
        sick = number < unhealthy
        world.add(
            first.id,
            zone="ab"[number % 2],
            displaced=number < drained.get(scenario, 0),
            healthy=not sick,
            unhealthy=sick,
        )
    return world


def _must_finish(world: World, *, plentiful: bool) -> bool:
    """Everything does but what can neither start first, for want of percent or room, nor stop first."""
    desired = world.service.desired_count
    may_not_stop = minimum_healthy(desired, world.service.minimum_healthy_percent) >= desired
    stuck = cannot_roll(desired, world.service.minimum_healthy_percent, world.service.maximum_percent)
    return not (stuck or (may_not_stop and not plentiful))


@pytest.mark.parametrize("plentiful", [True, False], ids=["plentiful", "room for exactly D"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_service_keeps_within_its_limits_and_gets_there(scenario: str, plentiful: bool) -> None:
    for (desired, minimum, maximum), seed in itertools.product(CASES, range(SEEDS)):
        random = Random(f"{desired} {minimum} {maximum} {seed}")
        world = _world(scenario, desired, minimum, maximum, plentiful=plentiful)
        if scenario == "scale-in while rolling":
            for _ in range(random.randint(0, 4)):
                world.turn()
                moves = world.moves()
                for move in random.sample(moves, random.randint(0, len(moves))):
                    move()
            world.service = replace(world.service, desired_count=random.randint(0, desired))
        finished = world.run(random, mishaps=6 if "mishaps" in scenario else 0)
        if _must_finish(world, plentiful=plentiful):
            assert finished, (desired, minimum, maximum, seed, world.shape, world.messages)


def test_a_deployment_that_can_neither_start_nor_stop_says_so_once() -> None:
    for desired, minimum, maximum in CASES:
        world = _world("rolling", desired, minimum, maximum, plentiful=True)
        if not cannot_roll(desired, minimum, maximum):
            continue
        assert not world.run(Random(1))
        world.turn()
        said = [
            message
            for message in world.messages
            if "unable to stop or start tasks during a deployment" in message
        ]
        assert len(said) == 1
