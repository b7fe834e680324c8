"""What leaves the state in its time, whatever restarts and clocks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from controller.services.retire import (
    KEEP_DELETED_S,
    KEEP_TOKENS_S,
    MOST_DELETED,
    TURN_INTERVAL_S,
    Retirement,
)
from controller.state.changes import Cause
from controller.state.entities import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Entity,
    RunTaskToken,
    Service,
    TaskDefinition,
    TaskDefinitionFamily,
)
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.unit.services.conftest import SERVICE, Controller, definition


@asynccontextmanager
async def retiring(tmp_path: Path, clock: FakeClock, *loaded: Entity) -> AsyncIterator[State]:
    """A state with nothing at work but the retirement, which found some records there."""
    state = await open_state(SqliteStore(tmp_path / "state.db", account="0", region="r"), clock)
    put(state, *loaded)
    retirement = Retirement(state, clock)
    working = [asyncio.create_task(state.run()), asyncio.create_task(retirement.run())]
    try:
        yield state
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await state.close()


def put(state: State, *records: Entity) -> None:
    """Put records, as something at the start would."""
    with state.transaction(Cause("start")) as transaction:
        for record in records:
            transaction.put(record)


async def test_a_client_token_is_forgotten_after_a_day_and_a_wall_clock_jump_forgets_nothing(
    tmp_path: Path, fake_clock: FakeClock
) -> None:
    loaded = token("loaded", fake_clock.now() - KEEP_TOKENS_S / 2)
    async with retiring(tmp_path, fake_clock, loaded) as state:
        put(state, token("new", fake_clock.now()))
        fake_clock.jump_wall(10 * KEEP_TOKENS_S)
        await asyncio.sleep(KEEP_TOKENS_S / 2 + 2 * TURN_INTERVAL_S)
        assert list(state.read().all(RunTaskToken)) == ["default/new"]
        await asyncio.sleep(KEEP_TOKENS_S / 2 + 2 * TURN_INTERVAL_S)
        assert not state.read().all(RunTaskToken)


def token(name: str, created_at: float) -> RunTaskToken:
    """A token of a call that started nothing."""
    return RunTaskToken(cluster="default", token=name, fingerprint="f", tasks=(), created_at=created_at)


async def test_a_definition_to_be_deleted_goes_once_nothing_refers_to_it_and_its_number_is_not_used_again(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    deleted = replace(definition(), status="DELETE_IN_PROGRESS", delete_requested_at=0.0)
    family = TaskDefinitionFamily(name="web", last_revision=1)
    await controller.create_service(1, deleted)
    await controller.put(family)
    await controller.run_all()
    await controller.update_service(definition(2), 2)
    await asyncio.sleep(TURN_INTERVAL_S)
    assert controller.state.read().get(TaskDefinition, "web:1") == deleted
    for _ in range(3):
        await controller.run_all()
        await asyncio.sleep(5)
    await asyncio.sleep(TURN_INTERVAL_S)
    assert controller.state.read().get(TaskDefinition, "web:1") is None
    assert controller.state.read().get(TaskDefinitionFamily, "web") == family


async def test_a_deleted_service_stays_for_a_week_and_a_new_one_of_its_name_stays_longer(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await controller.create_service(0, definition())
    await controller.change_service(status="DRAINING")
    assert controller.status == "INACTIVE"
    await asyncio.sleep(KEEP_DELETED_S / 2)
    await controller.create_service(0, definition())
    await asyncio.sleep(KEEP_DELETED_S / 2 + 2 * TURN_INTERVAL_S)
    assert controller.status == "ACTIVE"
    await controller.change_service(status="DRAINING")
    await asyncio.sleep(KEEP_DELETED_S / 2)
    controller = await controllers()
    await asyncio.sleep(KEEP_DELETED_S / 2 - TURN_INTERVAL_S)
    assert controller.status == "INACTIVE"
    await asyncio.sleep(3 * TURN_INTERVAL_S)
    assert SERVICE not in controller.state.read().all(Service)
    assert not controller.deployments


async def test_so_many_deleted_services_are_kept_and_no_more(controller: Controller) -> None:
    surplus = 3
    await controller.put(
        *(
            Service(
                cluster="default",
                name=f"s{number:04}",
                status="INACTIVE",
                deleted_at=float(number),
                created_at=0.0,
            )
            for number in range(MOST_DELETED + surplus)
        )
    )
    await asyncio.sleep(2 * TURN_INTERVAL_S)
    left = sorted(controller.state.read().all(Service))
    assert len(left) == MOST_DELETED
    assert left[0] == f"default/s{surplus:04}"


async def test_deleted_clusters_instances_and_capacity_providers_go_after_a_week_unless_they_came_back(
    tmp_path: Path, fake_clock: FakeClock
) -> None:
    def records(number: int, status: Any, deleted_at: float | None) -> tuple[Entity, ...]:
        at: Any = {"status": status, "deleted_at": deleted_at}
        machine: Any = {"ec2_instance_id": "i", "cpu": 1024, "memory": 1000, "registered_at": 1.0}
        return (
            Cluster(name=f"c{number}", created_at=1.0, **at),
            CapacityProvider(name=f"p{number}", created_at=1.0, **at),
            ContainerInstance(cluster="default", id=f"{number:032}", **machine, **at),
        )

    async with retiring(tmp_path, fake_clock, *records(1, "ACTIVE", None)) as state:
        gone, back = records(1, "INACTIVE", fake_clock.now()), records(2, "ACTIVE", None)
        put(state, *gone, *records(2, "INACTIVE", fake_clock.now()))
        await asyncio.sleep(KEEP_DELETED_S / 2)
        put(state, *back)
        await asyncio.sleep(KEEP_DELETED_S / 2 - TURN_INTERVAL_S)
        read = state.read()
        assert all(read.get(type(record), record.key) for record in gone)
        await asyncio.sleep(3 * TURN_INTERVAL_S)
        assert not any(read.get(type(record), record.key) for record in gone)
        assert all(read.get(type(record), record.key) == record for record in back)
