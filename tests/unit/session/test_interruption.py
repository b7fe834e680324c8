"""Notices of EC2's lead to DRAINING: once, for each identity, as soon as the controller takes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agent.host.instance_metadata import InstanceMetadata, MetadataUnavailable
from agent.session.api import Unreachable
from agent.session.interruption import LOOK_EVERY_S, InterruptionWatch

pytestmark = pytest.mark.fake_loop

ACTION = "meta-data/spot/instance-action"
REBALANCE = "meta-data/events/recommendations/rebalance"
TERMINATE = '{"action":"terminate","time":"2026-01-02T03:04:05Z"}'


class Notices(InstanceMetadata):
    """Metadata without a network: the loop's time is not real here."""

    def __init__(self, **values: str) -> None:
        self.values: dict[str, Any] = values

    async def get(self, path: str) -> str | None:
        value = self.values.get(path)
        if isinstance(value, Exception):
            raise value
        return value


class Machine:
    """A container instance, and what was asked of the controller for it."""

    def __init__(self) -> None:
        self.notices = Notices()
        self.arn: str | None = "arn-1"
        self.drained: list[str] = []
        self.refusals = 0

    async def drain(self, arn: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unreachable("UpdateContainerInstancesState: refused")
        self.drained.append(arn)

    async def watched(
        self,
        looks: float,
        then: Callable[[], Awaitable[None]] | None = None,
        *,
        heed_action: bool = True,
        heed_rebalance: bool = True,
    ) -> None:
        """Watch for so many looks, then do ``then`` and watch as long again."""
        watch = InterruptionWatch(
            self.notices,
            lambda: self.arn,
            self.drain,
            heed_action=heed_action,
            heed_rebalance=heed_rebalance,
        )
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep((looks - 0.5) * LOOK_EVERY_S)
        if then is not None:
            await then()
            await asyncio.sleep((looks - 0.5) * LOOK_EVERY_S)
        watching.cancel()
        await asyncio.wait([watching])


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
async def test_an_interruption_drains_once(machine: Machine, action: str) -> None:
    async def notice() -> None:
        assert machine.drained == []
        machine.notices.values[ACTION] = TERMINATE.replace("terminate", action)

    await machine.watched(3, notice)
    assert machine.drained == ["arn-1"]


async def test_a_rebalance_recommendation_drains(machine: Machine) -> None:
    machine.notices.values[REBALANCE] = '{"noticeTime":"2026-01-02T03:04:05Z"}'
    await machine.watched(2)
    assert machine.drained == ["arn-1"]


@pytest.mark.parametrize(
    ("path", "heed_action", "heed_rebalance"), [(ACTION, False, True), (REBALANCE, True, False)]
)
async def test_a_notice_that_does_not_count_changes_nothing(
    machine: Machine, path: str, heed_action: bool, heed_rebalance: bool
) -> None:
    machine.notices.values[path] = TERMINATE
    await machine.watched(2, heed_action=heed_action, heed_rebalance=heed_rebalance)
    assert machine.drained == []


async def test_draining_is_asked_for_until_the_controller_takes_it(machine: Machine) -> None:
    machine.notices.values[ACTION] = TERMINATE
    machine.refusals = 3
    await machine.watched(3)
    assert machine.drained == []
    machine.refusals = 3
    await machine.watched(5)
    assert machine.drained == ["arn-1"]


async def test_a_machine_that_has_not_registered_is_drained_as_soon_as_it_has(machine: Machine) -> None:
    machine.notices.values[ACTION] = TERMINATE
    machine.arn = None

    async def register() -> None:
        assert machine.drained == []
        machine.arn = "arn-2"

    await machine.watched(2, register)
    assert machine.drained == ["arn-2"]


async def test_a_machine_that_registers_anew_is_drained_anew(machine: Machine) -> None:
    machine.notices.values[ACTION] = TERMINATE

    async def register() -> None:
        machine.arn = "arn-2"

    await machine.watched(2, register)
    assert machine.drained == ["arn-1", "arn-2"]


@pytest.mark.parametrize("trouble", [MetadataUnavailable("away"), "not JSON", '{"time": 1}'])
async def test_metadata_that_fails_for_a_while_is_looked_at_again(machine: Machine, trouble: object) -> None:
    machine.notices.values[ACTION] = trouble

    async def recover() -> None:
        assert machine.drained == []
        machine.notices.values[ACTION] = TERMINATE

    await machine.watched(3, recover)
    assert machine.drained == ["arn-1"]
