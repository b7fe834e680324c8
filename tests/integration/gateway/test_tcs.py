"""The TCS websocket: signed and plain frames, health, metrics and the runtime's state."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agent.protocol import tcs
from controller.gateway import tcs_session
from controller.state.entities import InstanceConnection, Task
from controller.state.flusher import StoreUnavailable
from controller.telemetry.utilisation import ServiceUtilisation
from tests.integration.gateway.harness import World, connected, refused
from tests.unit.gateway.samples import arn, instance, task

RUNNING = task(reported_status="RUNNING", has_run=True, service="web")


def health(status: str) -> tcs.PublishHealthRequest:
    """What an agent tells about the task's only container."""
    container = tcs.ContainerHealth(container_name="app", health_status=status, status_since=1.5)
    return tcs.PublishHealthRequest(
        metadata=tcs.HealthMetadata(message_id="h", fin=True),
        tasks=(tcs.TaskHealth(task_arn=arn(), task_definition_family="web", containers=(container,)),),
        timestamp=1.5,
    )


def metrics(number: int = 1) -> tcs.PublishMetricsRequest:
    """Two samples of 25 and 75 percent of the machine, and 100 MiB."""
    container = tcs.ContainerMetric(
        container_name="app",
        cpu_stats_set=tcs.CWStatsSet(min=25, max=75, sample_count=2, sum=100),
        memory_stats_set=tcs.CWStatsSet(min=100, max=100, sample_count=2, sum=200),
    )
    return tcs.PublishMetricsRequest(
        task_metrics=(tcs.TaskMetric(task_arn=arn(number), container_metrics=(container,)),)
    )


def told_health(world: World) -> str:
    """The health of the task's container in the state."""
    found = world.state.read().get(Task, task().key)
    assert found is not None
    return found.containers[0].health_status


async def test_health_in_a_signed_frame_is_booked_and_acknowledged(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say_signed(health("UNHEALTHY"))
        await agent.receive(tcs.AckPublishHealth)
        assert told_health(world) == "UNHEALTHY"


async def test_health_in_a_plain_frame_is_booked_and_acknowledged(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say(health("HEALTHY"))
        await agent.receive(tcs.AckPublishHealth)
        assert told_health(world) == "HEALTHY"


async def test_health_that_is_known_is_not_written_again(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        for _ in range(3):
            await agent.say(health("HEALTHY"))
            await agent.receive(tcs.AckPublishHealth)
        found = world.state.read().get(Task, task().key)
        assert found is not None
        assert found.version == RUNNING.version + 1


async def test_health_that_cannot_be_booked_is_not_acknowledged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise StoreUnavailable

    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        with monkeypatch.context() as failing:
            failing.setattr(world.state.flusher, "admit", refuse)
            await agent.say(health("HEALTHY"))
            await agent.say(metrics())
            await agent.receive(tcs.AckPublishMetric)
        assert told_health(world) == "UNKNOWN"
        await agent.say(health("HEALTHY"))
        await agent.receive(tcs.AckPublishHealth)
        assert told_health(world) == "HEALTHY"


async def test_a_forged_frame_ends_the_connection(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say_signed(health("HEALTHY"), forged=True)
        assert await agent.closed() == 1008
        assert told_health(world) == "UNKNOWN"


async def test_a_stale_frame_is_not_believed_but_shows_skew(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say_signed(health("HEALTHY"), skew_s=7200)
        await agent.say_signed(metrics())
        await agent.receive(tcs.AckPublishMetric)
        assert told_health(world) == "UNKNOWN"
        found = world.state.read().get(InstanceConnection, instance().key)
        assert found is not None
        assert found.clock_skew_s == pytest.approx(7200, abs=5)


async def test_metrics_become_the_newest_sample_until_the_task_ends(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say_signed(metrics())
        await agent.receive(tcs.AckPublishMetric)
    sample = world.gateway.utilisation.of(task().key)
    assert sample is not None
    assert (sample.cpu_percent, sample.memory_mib) == (50.0, 100.0)
    await world.put(task(reported_status="STOPPED", desired_status="STOPPED"))
    assert len(world.gateway.utilisation) == 0


async def test_services_show_what_their_tasks_use(world: World) -> None:
    await world.put(RUNNING)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say(metrics())
        await agent.receive(tcs.AckPublishMetric)
    registry = CollectorRegistry()
    registry.register(ServiceUtilisation(world.state, world.gateway.utilisation))
    lines = generate_latest(registry).decode().splitlines()
    assert 'homeport_service_cpu_units_used{cluster="default",service="web"} 1024.0' in lines
    assert 'homeport_service_memory_used_bytes{cluster="default",service="web"} 1.048576e+08' in lines


async def test_metrics_of_tasks_elsewhere_are_not_kept(world: World) -> None:
    await world.put(task(reported_status="RUNNING", instance="f" * 32))
    async with connected(world, world.tcs_url()) as agent:
        for number in (1, 99):
            await agent.say(metrics(number))
            await agent.receive(tcs.AckPublishMetric)
    assert len(world.gateway.utilisation) == 0


async def test_the_runtimes_state_is_noted(world: World) -> None:
    status = tcs.InstanceStatus(type="ContainerRuntime", status="IMPAIRED", last_updated=1.0)
    async with connected(world, world.tcs_url()) as agent:
        await agent.say_signed(tcs.PublishInstanceStatusRequest(statuses=(status,), timestamp=1.0))
        await agent.receive(tcs.AckPublishInstanceStatus)
    found = world.state.read().get(InstanceConnection, instance().key)
    assert found is not None
    assert found.runtime_status == "IMPAIRED"


async def test_an_agent_that_publishes_nothing_gets_heartbeats(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcs_session, "HEARTBEAT_INTERVAL_S", 0.05)
    async with connected(world, world.tcs_url()) as agent:
        for _ in range(3):
            assert (await agent.receive(tcs.HeartbeatMessage)).healthy
        await agent.say(metrics())
        await agent.receive(tcs.AckPublishMetric)


@pytest.mark.parametrize(
    "frame", ["", "junk", "Authorization: x", "A: b\r\n\r\nnot json", '{"type":"Other"}']
)
async def test_a_malformed_frame_ends_nothing(world: World, frame: str) -> None:
    async with connected(world, world.tcs_url()) as agent:
        await agent.websocket.send_str(frame)
        if frame.startswith("A: b"):
            assert await agent.closed() == 1008
            return
        await agent.say(metrics())
        await agent.receive(tcs.AckPublishMetric)


async def test_a_newer_connection_replaces_the_older(world: World) -> None:
    async with connected(world, world.tcs_url()) as older, connected(world, world.tcs_url()) as newer:
        assert await older.closed() == 1008
        await newer.say(metrics())
        await newer.receive(tcs.AckPublishMetric)


async def test_telemetry_alone_does_not_make_an_agent_connected(world: World) -> None:
    async with connected(world, world.tcs_url()) as agent:
        await agent.say(metrics())
        await agent.receive(tcs.AckPublishMetric)
        found = world.state.read().get(InstanceConnection, instance().key)
        assert found is None or not found.connected


async def test_an_unknown_instance_is_refused(world: World) -> None:
    status, body, _ = await refused(world, world.tcs_url(2))
    assert (status, list(body)) == (400, ["InvalidInstanceException"])
