"""What leaves the state in its time, whatever restarts and clocks do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from controller.services.retire import (
    KEEP_SERVICES_S,
    KEEP_TOKENS_S,
    MOST_SERVICES,
    TURN_INTERVAL_S,
    Retirement,
)
from controller.state.changes import Cause
from controller.state.entities import RunTaskToken, Service, TaskDefinition, TaskDefinitionFamily
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.unit.services.conftest import SERVICE, Controller, definition


async def test_a_client_token_is_forgotten_after_a_day_and_a_wall_clock_jump_forgets_nothing(
    tmp_path: Path, fake_clock: FakeClock
) -> None:
    state = await open_state(SqliteStore(tmp_path / "state.db", account="0", region="r"), fake_clock)
    with state.transaction(Cause("start")) as transaction:
        transaction.put(token("loaded", fake_clock.now() - KEEP_TOKENS_S / 2))
    retirement = Retirement(state, fake_clock)
    working = [asyncio.create_task(state.run()), asyncio.create_task(retirement.run())]
    try:
        with state.transaction(Cause("start")) as transaction:
            transaction.put(token("new", fake_clock.now()))
        fake_clock.jump_wall(10 * KEEP_TOKENS_S)
        await asyncio.sleep(KEEP_TOKENS_S / 2 + 2 * TURN_INTERVAL_S)
        assert list(state.read().all(RunTaskToken)) == ["default/new"]
        await asyncio.sleep(KEEP_TOKENS_S / 2 + 2 * TURN_INTERVAL_S)
        assert not state.read().all(RunTaskToken)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await state.close()


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
    await asyncio.sleep(KEEP_SERVICES_S / 2)
    await controller.create_service(0, definition())
    await asyncio.sleep(KEEP_SERVICES_S / 2 + 2 * TURN_INTERVAL_S)
    assert controller.status == "ACTIVE"
    await controller.change_service(status="DRAINING")
    await asyncio.sleep(KEEP_SERVICES_S / 2)
    controller = await controllers()
    await asyncio.sleep(KEEP_SERVICES_S / 2 - TURN_INTERVAL_S)
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
            for number in range(MOST_SERVICES + surplus)
        )
    )
    await asyncio.sleep(2 * TURN_INTERVAL_S)
    left = sorted(controller.state.read().all(Service))
    assert len(left) == MOST_SERVICES
    assert left[0] == f"default/s{surplus:04}"
