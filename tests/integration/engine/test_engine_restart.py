"""The Docker engine goes away, comes back and hangs under a running agent."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.engine.states import Status
from tests.integration.engine.harness import Harness
from tests.support.own_engine import OwnEngine, own_engine

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    """An engine of the test's own; its parameter says whether containers outlive it."""
    with own_engine(tmp_path / "dockerd.log", live_restore=getattr(request, "param", False)) as running:
        yield running


@pytest.fixture
async def harness(engine: OwnEngine, tmp_path: Path, cluster_name: str) -> AsyncIterator[Harness]:
    """A task engine on it."""
    with engine.client() as client:
        harness = Harness(tmp_path / "agent", cluster_name, engine.image, client)
        await harness.start(docker_host=engine.host)
        try:
            yield harness
        finally:
            engine.thaw()
            await harness.stop()
            harness.remove_everything()


async def test_containers_that_end_with_their_engine_are_reported_and_new_work_waits_for_it(
    engine: OwnEngine, harness: Harness
) -> None:
    old = await harness.run(network_mode="none")
    await asyncio.to_thread(engine.stop)
    await harness.eventually(lambda: harness.engine.absence, "the engine is noticed to be away")
    new = harness.task(network_mode="none")
    await harness.engine.accept((new,))

    waiting = await harness.reported(new, "PENDING")
    assert waiting.reason.startswith("waits for the Docker engine, which does not answer: CannotConnect")
    await asyncio.to_thread(engine.start)

    await harness.reported(old, "STOPPED")
    await harness.reported(new, "RUNNING")
    assert harness.record(new).state.waits_for == ""
    assert len(harness.containers_of(new)) == 1


@pytest.mark.parametrize("engine", [True], indirect=True)
async def test_containers_that_outlive_their_engine_stay_running_and_one_that_does_not_is_reported(
    engine: OwnEngine, harness: Harness
) -> None:
    survivor, victim = await harness.run(network_mode="none"), await harness.run(network_mode="none")
    pid = harness.inspect(victim)["State"]["Pid"]
    before = harness.inspect(survivor)["State"]["Pid"]
    await asyncio.to_thread(engine.stop)
    await harness.eventually(lambda: harness.engine.absence, "the engine is noticed to be away")

    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(engine.start)

    assert (await harness.reported(victim, "STOPPED")).containers[0].exit_code == 137
    assert harness.inspect(survivor)["State"]["Pid"] == before
    assert harness.statuses(survivor) == ["RUNNING"]
    await harness.engine.stop_tasks([survivor.arn or ""])
    await harness.reported(survivor, "STOPPED")


async def test_an_engine_that_hangs_is_impaired_nothing_is_assumed_and_all_goes_on_when_it_answers(
    engine: OwnEngine, harness: Harness
) -> None:
    running = await harness.run(network_mode="none")
    engine.freeze()
    assert not await harness.engine.healthy()
    new = harness.task(network_mode="none")
    await harness.engine.accept((new,))
    await harness.engine.stop_tasks([running.arn or ""])

    assert (await harness.reported(new, "PENDING")).reason.startswith("waits for the Docker engine")
    assert harness.record(running).state.known is Status.RUNNING
    engine.thaw()

    await harness.reported(running, "STOPPED")
    await harness.reported(new, "RUNNING")
    assert await harness.engine.healthy()


async def test_containers_that_are_lost_together_with_their_engine_are_reported_when_it_is_back(
    engine: OwnEngine, harness: Harness
) -> None:
    old = await harness.run(network_mode="none")
    await asyncio.to_thread(engine.crash)
    await harness.eventually(lambda: harness.engine.absence, "the engine is noticed to be away")
    assert harness.statuses(old) == ["RUNNING"], "nobody has seen it stop"
    await asyncio.to_thread(engine.start)

    await harness.reported(old, "STOPPED")
    await harness.run(network_mode="none")
