"""The worked rolling-update traces: what is under way arrives, then the step is asked again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.services import events
from tests.unit.services.simulation import World, deployment, service


def _rolling(desired: int, minimum: int, maximum: int, room: int = 100) -> World:
    first = replace(deployment(1), rollout_state="COMPLETED", status="ACTIVE")
    world = World(service=service(desired, minimum, maximum), primary=deployment(2), older=[first], room=room)
    for number in range(desired):
        world.add(first.id, zone="ab"[number % 2])
    return world


def _trace(world: World) -> list[str]:
    """Shapes of the world: steps until nothing more is decided, then everything that is under way arrives."""
    shapes = [world.shape]

    def note() -> None:
        if shapes[-1] != world.shape:
            shapes.append(world.shape)

    while True:
        decision = world.turn()
        note()
        moves = world.moves()
        if not (decision.starts or decision.stops or moves):
            return shapes
        if decision.starts or decision.stops:
            continue
        while moves:
            for move in moves:
                move()
            moves = world.moves()
        note()


@pytest.mark.parametrize(
    ("desired", "minimum", "maximum", "shapes"),
    [
        (1, 100, 200, ["1o", "1o+1p", "1o+1H", "1H"]),
        (1, 0, 100, ["1o", "0", "1p", "1H"]),
        (2, 50, 100, ["2o", "1o", "1o+1p", "1o+1H", "1H", "1p+1H", "2H"]),
        (2, 75, 150, ["2o", "2o+1p", "2o+1H", "1o+1H", "1o+1p+1H", "1o+2H", "2H"]),
        (4, 50, 100, ["4o", "2o", "2o+2p", "2o+2H", "2H", "2p+2H", "4H"]),
        (4, 100, 200, ["4o", "4o+4p", "4o+4H", "4H"]),
        (4, 50, 150, ["4o", "2o+2p", "2o+4p", "2o+4H", "4H"]),
    ],
)
def test_a_rolling_update_takes_the_steps_of_the_reference(
    desired: int, minimum: int, maximum: int, shapes: list[str]
) -> None:
    assert _trace(_rolling(desired, minimum, maximum)) == shapes


def test_ten_tasks_at_90_to_110_percent_roll_by_about_two() -> None:
    world = _rolling(10, 90, 110)
    world.turn()
    assert world.shape == "9o+1p"
    world.turn()
    assert world.shape == "9o+2p"
    assert _trace(world)[-1] == "10H"


def test_with_room_above_the_maximum_each_healthy_new_task_lets_one_old_one_go() -> None:
    world = _rolling(4, 100, 200)
    world.turn()
    fresh = [task for task in world.tasks.values() if not task.has_run]
    for number, task in enumerate(fresh, start=1):
        world.tasks[task.id] = replace(task, has_run=True, healthy=True)
        assert len(world.turn().stops) == 1
        assert world.shape.startswith(f"{4 - number}o") or number == 4


@pytest.mark.parametrize(("desired", "minimum", "maximum"), [(1, 100, 150), (3, 100, 125), (2, 100, 100)])
def test_a_deadlock_is_announced_at_the_first_evaluation(desired: int, minimum: int, maximum: int) -> None:
    world = _rolling(desired, minimum, maximum)
    decision = world.turn()
    assert [item.text for item in decision.announcements] == [events.DEADLOCK]
    assert not decision.starts
    assert not decision.stops
    assert not world.turn().announcements


def test_a_drain_takes_the_same_steps_as_an_update() -> None:
    world = World(service=service(2, 100, 200), primary=deployment(1), room=100)
    world.add("ecs-svc/1", displaced=True)
    world.add("ecs-svc/1", displaced=True)
    assert _trace(world) == ["2o", "2o+2p", "2o+2H", "2H"]
