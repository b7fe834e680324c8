"""The agent's sessions over real sockets, with a controller that fails in every way it can."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from agent import __version__
from agent.config import load
from agent.host.attributes import EngineFacts
from agent.host.machine import Machine
from agent.host.resources import total_resources
from agent.identity import IdentityFile
from agent.protocol import acs, tcs
from agent.protocol.clock import SystemClock
from agent.protocol.extensions import (
    IDENTITY_IN_USE,
    GoodbyeMessage,
    HelloMessage,
    InstanceDiskMessage,
    TaskInventoryMessage,
)
from agent.session.api import ControlPlaneClient
from agent.session.control_plane import ControlPlane
from agent.session.metrics import SessionMetrics
from agent.session.secrets_exchange import SecretsExchange
from agent.session.server_time import ServerTime
from tests.integration.session.controller import ARN_PREFIX, SECRET, Connection, FakeController
from tests.support.processes import free_port
from tests.unit.session.fakes import CLUSTER_ARN, FakeEngine, known

MACHINE = Machine(machine_id="machine", boot_id="boot", cpus=2, memory_mib=4096, architecture="x86_64")
HELLO = HelloMessage(store_uuid="store", epoch=1, heartbeat_interval_ms=3000)
SOON_S = 10.0


class Agent:
    """The sessions under test, with a fake engine."""

    def __init__(
        self,
        control_plane: ControlPlane,
        engine: FakeEngine,
        identity: IdentityFile,
        running: "asyncio.Task[None]",
    ) -> None:
        self.control_plane = control_plane
        self.running = running
        self.engine = engine
        self.identity = identity

    @property
    def arn(self) -> str:
        return self.identity.current.container_instance_arn or ""


@asynccontextmanager
async def agent(url: str, data_dir: Path, engine: FakeEngine | None = None) -> AsyncIterator[Agent]:
    config = load(
        ["--controller", url],
        {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": SECRET},
    )
    assert config.credentials is not None
    clock = SystemClock()
    engine = engine or FakeEngine()
    identity = IdentityFile.load(data_dir, config.cluster, MACHINE.machine_id)
    metrics = SessionMetrics(CollectorRegistry())
    async with ControlPlaneClient(
        config.controller_url, config.region, config.credentials, ServerTime(clock), clock, metrics
    ) as client:
        control_plane = ControlPlane(
            client=client,
            config=config,
            machine=MACHINE,
            identity=identity,
            resources=total_resources(
                MACHINE, reserved_memory_mib=0, reserved_ports=(22,), reserved_ports_udp=()
            ),
            engine=engine,
            engine_facts=EngineFacts("20.10", (1, 41), ("json-file",), ()),
            secrets=SecretsExchange(Random(1)),
            clock=clock,
            random=Random(1),
        )
        running = asyncio.create_task(control_plane.run())
        try:
            yield Agent(control_plane, engine, identity, running)
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            await asyncio.wait([running])


@pytest.fixture
async def controller() -> AsyncIterator[FakeController]:
    async with FakeController().serving() as serving:
        yield serving


async def until(condition: Any) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.01)


async def greeted(controller: FakeController, hello: HelloMessage = HELLO) -> Connection:
    """The next ACS connection, past disks and inventory, and greeted."""
    connection = await controller.acs()
    assert isinstance(await connection.next_acs(), InstanceDiskMessage)
    assert isinstance(await connection.next_acs(), TaskInventoryMessage)
    await connection.send(hello)
    return connection


def payload(
    connection: Connection, *tasks: str, message_id: str = "p1", seq_num: int = 1
) -> acs.PayloadMessage:
    return acs.PayloadMessage(
        message_id=message_id,
        cluster_arn=CLUSTER_ARN,
        container_instance_arn=connection.query["containerInstanceArn"],
        seq_num=seq_num,
        tasks=tuple(acs.Task(arn=arn, desired_status="RUNNING") for arn in tasks),
    )


async def test_the_agent_registers_connects_and_tells_its_tasks(
    controller: FakeController, tmp_path: Path
) -> None:
    engine = FakeEngine(known("t1"), known("t2", "STOPPED", "STOPPED", sent="RUNNING"))
    async with agent(controller.url, tmp_path, engine) as joined:
        connection = await controller.acs()
        assert await connection.next_acs() == engine.disk
        inventory = await connection.next_acs()
        assert isinstance(inventory, TaskInventoryMessage)
        assert [entry.task_arn for entry in inventory.tasks] == ["t1", "t2"]
        assert connection.query == {
            "agentHash": "homeport",
            "agentVersion": __version__,
            "bootId": "boot",
            "clusterArn": "default",
            "containerInstanceArn": joined.arn,
            "dockerVersion": "DockerVersion: 20.10.24",
            "homeportProtocol": "1",
            "machineId": "machine",
            "protocolVersion": "2",
            "sendCredentials": "true",
            "seqNum": "1",
        }
        telemetry = await controller.tcs()
        assert telemetry.query == {
            "agentHash": "homeport",
            "agentVersion": __version__,
            "cluster": "default",
            "containerInstance": joined.arn,
            "dockerVersion": "20.10.24",
        }
        assert joined.control_plane.sessions["acs"]()


async def test_orders_are_carried_out_and_acknowledged_in_order(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path) as joined:
        connection = await greeted(controller)
        for number in range(5):
            await connection.send(payload(connection, f"t{number}", message_id=f"p{number}"))
        await connection.send(acs.HeartbeatMessage(message_id="h1", healthy=True))
        replies = [await connection.next_acs() for _ in range(6)]
        assert acs.HeartbeatAckRequest(message_id="h1") in replies
        acks = [reply.message_id for reply in replies if isinstance(reply, acs.AckRequest)]
        assert acks == [f"p{number}" for number in range(5)]
        assert [task.arn for task in joined.engine.accepted] == [f"t{number}" for number in range(5)]


async def test_heartbeats_are_answered_while_an_order_takes_its_time(
    controller: FakeController, tmp_path: Path
) -> None:
    release = asyncio.Event()
    engine = FakeEngine()
    engine.accepting = release.wait
    async with agent(controller.url, tmp_path, engine):
        connection = await greeted(controller)
        await connection.send(payload(connection, "t1"))
        await connection.send(acs.HeartbeatMessage(message_id="h1"))
        assert await connection.next_acs() == acs.HeartbeatAckRequest(message_id="h1")
        release.set()
        assert isinstance(await connection.next_acs(), acs.AckRequest)


async def test_an_order_under_way_is_finished_when_the_connection_is_cut(
    controller: FakeController, tmp_path: Path
) -> None:
    begun, release, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    engine = FakeEngine()

    async def accepting() -> None:
        begun.set()
        await release.wait()
        finished.set()

    engine.accepting = accepting
    async with agent(controller.url, tmp_path, engine):
        connection = await greeted(controller)
        await connection.send(payload(connection, "t1"))
        await asyncio.wait_for(begun.wait(), SOON_S)
        connection.drop()
        await asyncio.sleep(0.1)
        release.set()
        await asyncio.wait_for(finished.wait(), SOON_S)
        again = await greeted(controller)
        assert again.query["sendCredentials"] == "false"
        assert [task.arn for task in engine.accepted] == ["t1"]


async def test_an_order_that_cannot_be_saved_costs_neither_ack_nor_connection(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path) as joined:
        connection = await greeted(controller)
        joined.engine.accept_fails = OSError("disk full")
        await connection.send(payload(connection, "t1"))
        await connection.send(acs.StageUpdateMessage(message_id="u1"))
        assert isinstance(await connection.next_acs(), acs.NackRequest)
        joined.engine.accept_fails = None
        await connection.send(payload(connection, "t1"))
        assert isinstance(await connection.next_acs(), acs.AckRequest)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "null",
        '{"type":"PayloadMessage","message":[]}',
        '{"type":"Nothing"}',
        '{"type":"HelloMessage"}',
    ],
)
async def test_a_broken_frame_is_passed_over(controller: FakeController, tmp_path: Path, frame: str) -> None:
    async with agent(controller.url, tmp_path):
        connection = await greeted(controller)
        await connection.send(frame)
        await connection.send(acs.HeartbeatMessage(message_id="h1"))
        assert await connection.next_acs() == acs.HeartbeatAckRequest(message_id="h1")


async def test_the_agent_comes_back_after_every_kind_of_end(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path):
        (await greeted(controller)).drop()
        await (await greeted(controller)).socket.close(code=1000)
        await (await greeted(controller)).socket.close(code=4001, message=b"go away")
        connection = await greeted(controller)
        await connection.send(acs.HeartbeatMessage(message_id="h1"))
        assert await connection.next_acs() == acs.HeartbeatAckRequest(message_id="h1")
        assert len(controller.registrations) == 1


async def test_three_silent_heartbeat_intervals_end_the_connection(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path):
        hello = HelloMessage(store_uuid="store", epoch=1, heartbeat_interval_ms=400)
        silent = await greeted(controller, hello)
        await silent.ended()
        talking = await greeted(controller, hello)
        for number in range(10):
            await asyncio.sleep(0.2)
            await talking.send(acs.HeartbeatMessage(message_id=str(number)))
        for number in range(10):
            assert await talking.next_acs() == acs.HeartbeatAckRequest(message_id=str(number))


async def test_a_superseded_controller_is_left(controller: FakeController, tmp_path: Path) -> None:
    async with agent(controller.url, tmp_path) as joined:
        connection = await greeted(
            controller, HelloMessage(store_uuid="s", epoch=5, heartbeat_interval_ms=3000)
        )
        await until(lambda: joined.identity.current.epoch == 5)
        connection.drop()
        old = await greeted(controller, HelloMessage(store_uuid="s", epoch=4, heartbeat_interval_ms=3000))
        await old.send(payload(old, "t1"))
        await old.ended()
        assert joined.engine.accepted == []


async def test_a_controller_with_another_store_stops_nothing_and_may_give_work(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path, FakeEngine(known("mine"))) as joined:
        (await greeted(controller)).drop()
        other = await greeted(
            controller, HelloMessage(store_uuid="other", epoch=1, heartbeat_interval_ms=3000)
        )
        await other.send(
            acs.TaskManifestMessage(
                message_id="m1",
                cluster_arn=CLUSTER_ARN,
                container_instance_arn=joined.arn,
                timeline=99,
            )
        )
        await other.send(payload(other, "theirs"))
        accepted = await other.next_acs()
        assert isinstance(accepted, acs.AckRequest)
        assert accepted.message_id == "p1"
        assert joined.engine.stopped == []


async def test_an_instance_that_the_controller_forgot_registers_again_under_its_arn(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path) as joined:
        (await greeted(controller)).drop()
        first = joined.arn
        body = {"InvalidInstanceException": "unknown container instance"}
        controller.refuse_upgrade = lambda _: (
            web.json_response(body, status=400) if len(controller.registrations) == 1 else None
        )
        await greeted(controller)
        assert [request.get("containerInstanceArn") for request in controller.registrations] == [None, first]
        assert joined.arn == first


async def test_an_instance_that_was_deregistered_joins_as_a_new_one(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path, FakeEngine(known("t1"))) as joined:
        (await greeted(controller)).drop()
        first = joined.arn
        body = {"type": "InactiveInstanceException", "message": {"message": "inactive"}}
        controller.refuse_upgrade = lambda request: (
            web.json_response(body, status=400)
            if first in (request.query.get("containerInstanceArn"), request.query.get("containerInstance"))
            else None
        )
        connection = await controller.acs()
        assert isinstance(await connection.next_acs(), InstanceDiskMessage)
        inventory = await connection.next_acs()
        assert joined.arn != first
        assert joined.arn.startswith(ARN_PREFIX)
        assert isinstance(inventory, TaskInventoryMessage)
        assert [entry.task_arn for entry in inventory.tasks] == ["t1"], "its tasks stay known"


async def test_refusals_that_say_nothing_about_the_instance_do_not_make_it_register(
    controller: FakeController, tmp_path: Path
) -> None:
    refused = 0

    def throttle(_: web.Request) -> web.Response | None:
        nonlocal refused
        refused += 1
        body = {"__type": "ThrottlingException", "message": "Rate exceeded"}
        return web.json_response(body, status=429) if refused <= 4 else None

    controller.refuse_upgrade = throttle
    async with agent(controller.url, tmp_path):
        await greeted(controller)
        assert len(controller.registrations) == 1


async def test_a_wrong_clock_is_put_right_by_the_controllers_own(
    controller: FakeController, tmp_path: Path
) -> None:
    controller.clock_offset_s = 7200.0
    async with agent(controller.url, tmp_path) as joined:
        await greeted(controller)
        assert len(controller.registrations) == 1, "the refused attempt is made again at once"
        joined.engine.changes.make("t1")
        await until(lambda: controller.submitted)


async def test_an_agent_started_before_its_controller_joins_when_that_is_up(tmp_path: Path) -> None:
    port = free_port()
    async with agent(f"http://127.0.0.1:{port}", tmp_path) as joined:
        await asyncio.sleep(0.3)
        async with FakeController().serving(port) as controller:
            await greeted(controller)
            assert joined.arn


async def test_the_controller_may_be_away_while_things_happen(tmp_path: Path) -> None:
    port = free_port()
    async with agent(f"http://127.0.0.1:{port}", tmp_path) as joined:
        async with FakeController().serving(port) as controller:
            await greeted(controller)
        joined.engine.changes.make("t1", "RUNNING")
        await asyncio.sleep(0.2)
        joined.engine.changes.make("t1", "STOPPED", "Essential container in task exited")
        async with FakeController().serving(port) as controller:
            await until(lambda: joined.engine.changes.sent)
            assert [(change["task"], change["status"]) for change in controller.submitted] == [
                ("t1", "STOPPED")
            ]
            await greeted(controller)


async def test_a_disk_that_fills_up_is_told_at_once_and_first_on_the_next_connection(
    controller: FakeController, tmp_path: Path
) -> None:
    engine = FakeEngine()
    async with agent(controller.url, tmp_path, engine):
        connection = await greeted(controller)
        engine.disk = InstanceDiskMessage(status="FULL", reason="disk 91 % full on /data")
        engine.disk_changed.set()
        assert await connection.next_acs() == engine.disk
        await connection.socket.close(code=1000)
        assert await (await controller.acs()).next_acs() == engine.disk


async def test_goodbye_is_the_last_word(controller: FakeController, tmp_path: Path) -> None:
    async with agent(controller.url, tmp_path) as joined:
        connection = await greeted(controller)
        await connection.send(acs.HeartbeatMessage(message_id="h1"))
        await connection.next_acs()
        await joined.control_plane.say_goodbye(host_goes_down=True)
        assert await connection.next_acs() == GoodbyeMessage(expect="HOST_DOWN")
        ended = asyncio.create_task(connection.ended())
    assert await ended == 1001


async def test_saying_goodbye_to_nobody_is_no_error(tmp_path: Path) -> None:
    async with agent(f"http://127.0.0.1:{free_port()}", tmp_path) as lonely:
        await lonely.control_plane.say_goodbye(host_goes_down=False)


async def next_of(connection: Connection, kind: type) -> Any:
    while not isinstance(message := await connection.next_tcs(), kind):
        pass
    return message


async def test_telemetry_begins_at_once_and_every_frame_is_signed(
    controller: FakeController, tmp_path: Path
) -> None:
    engine = FakeEngine(known("t1"))
    engine.metrics = (tcs.TaskMetric(task_arn="t1"),)
    engine.health = (tcs.TaskHealth(task_arn="t1"),)
    async with agent(controller.url, tmp_path, engine) as joined:
        connection = await controller.tcs()
        messages = [await connection.next_tcs() for _ in range(3)]
        assert {type(message) for message in messages} == {
            tcs.PublishHealthRequest,
            tcs.PublishInstanceStatusRequest,
            tcs.PublishMetricsRequest,
        }
        metrics = next(message for message in messages if isinstance(message, tcs.PublishMetricsRequest))
        assert metrics.metadata is not None
        assert metrics.metadata.container_instance == joined.arn
        assert metrics.task_metrics == engine.metrics
        assert set(connection.header_blocks[0]) == {"Authorization", "Host", "X-Amz-Date"}


async def test_a_change_of_health_is_published_at_once(controller: FakeController, tmp_path: Path) -> None:
    async with agent(controller.url, tmp_path) as joined:
        connection = await controller.tcs()
        await next_of(connection, tcs.PublishMetricsRequest)
        container = tcs.ContainerHealth(container_name="app", health_status="UNHEALTHY")
        joined.engine.health = (tcs.TaskHealth(task_arn="t1", containers=(container,)),)
        joined.engine.health_changed.set()
        message = await next_of(connection, tcs.PublishHealthRequest)
        assert message.tasks == joined.engine.health


async def test_health_is_published_again_on_each_connection(
    controller: FakeController, tmp_path: Path
) -> None:
    engine = FakeEngine()
    engine.health = (tcs.TaskHealth(task_arn="t1"),)
    async with agent(controller.url, tmp_path, engine):
        first = await controller.tcs()
        await next_of(first, tcs.PublishHealthRequest)
        first.drop()
        message = await next_of(await controller.tcs(), tcs.PublishHealthRequest)
        assert message.tasks == engine.health


async def test_telemetry_follows_the_machine_to_its_new_identity(
    controller: FakeController, tmp_path: Path
) -> None:
    async with agent(controller.url, tmp_path) as joined:
        first = await controller.tcs()
        await next_of(first, tcs.PublishMetricsRequest)
        await joined.identity.update(container_instance_arn=joined.arn + "-new")
        joined.engine.health_changed.set()
        assert (await controller.tcs()).query["containerInstance"] == joined.arn


async def test_an_engine_that_does_not_answer_is_reported_when_a_heartbeat_asks(
    controller: FakeController, tmp_path: Path
) -> None:
    engine = FakeEngine()
    engine.is_healthy = False
    async with agent(controller.url, tmp_path, engine):
        connection = await controller.tcs()
        while True:
            message = await next_of(connection, tcs.PublishInstanceStatusRequest)
            if message.statuses[0].status == "IMPAIRED":
                break


async def test_a_copy_of_a_disk_whose_original_lives_on_becomes_a_new_machine_and_reports_nothing(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.session.acs_session.IDENTITY_PATIENCE_S", 0.0)
    original = IdentityFile.load(tmp_path, "default", MACHINE.machine_id)
    await original.update(container_instance_arn=ARN_PREFIX + "original", boot_id="another boot")
    controller.refuse_upgrade = lambda _: web.json_response({IDENTITY_IN_USE: "in use"}, status=403)
    engine = FakeEngine()
    engine.changes.make("t1", "STOPPED")

    async def live() -> None:
        async with agent(controller.url, tmp_path, engine) as joined:
            await until(joined.running.done)

    with pytest.raises(AssertionError, match="IdentityTakenError") as ended:
        await live()
    assert "this disk is a copy" in str(ended.value)
    assert controller.submitted == []
    begun = IdentityFile.load(tmp_path, "default", MACHINE.machine_id).current
    assert begun.container_instance_arn is None
    assert begun.owner != original.current.owner


async def test_a_machine_that_was_accepted_in_this_boot_waits_for_its_copy_to_go(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.session.acs_session.IDENTITY_PATIENCE_S", 0.0)
    original = IdentityFile.load(tmp_path, "default", MACHINE.machine_id)
    await original.update(container_instance_arn=ARN_PREFIX + "original", boot_id=MACHINE.boot_id)
    refusals = iter(range(3))

    def refuse(_: web.Request) -> web.Response | None:
        taken = next(refusals, None) is not None
        return web.json_response({IDENTITY_IN_USE: "in use"}, status=403) if taken else None

    controller.refuse_upgrade = refuse
    async with agent(controller.url, tmp_path) as joined:
        await greeted(controller)
        assert joined.arn == ARN_PREFIX + "original"
