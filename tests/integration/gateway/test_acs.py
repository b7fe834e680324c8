"""The ACS websocket, spoken to as agents speak: upgrades, delivery, drops, rivals."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import Any

import aiohttp
import pytest

from agent.protocol import acs, extensions
from agent.protocol.extensions import IDENTITY_IN_USE, GoodbyeMessage, HelloMessage, TaskInventoryMessage
from controller.api.render.instance import render_instance
from controller.gateway import gateway as gateway_module
from controller.gateway import socket as socket_module
from controller.gateway.reconciler import Reconciler
from controller.gateway.socket import MAX_FRAME_BYTES
from controller.state.entities import ContainerInstance, InstanceConnection
from controller.state.flusher import StoreUnavailable
from tests.integration.gateway.harness import World, connected, eventually, open_connection, refused
from tests.unit.gateway.samples import arn, container, definition, instance, task
from tests.unit.gateway.test_fullsync import entry

OURS = {extensions.PROTOCOL_PARAMETER: "1", "machineId": "m1", "bootId": "b1"}


def connection(world: World, number: int = 1) -> InstanceConnection | None:
    """What the state says about an instance's connection."""
    return world.state.read().get(InstanceConnection, instance(number).key)


def is_connected(world: World) -> bool:
    """Whether the state shows the first instance's agent as connected."""
    found = connection(world)
    return found is not None and found.connected


def is_synchronised(world: World) -> bool:
    """Whether the first instance's agent has told its tasks."""
    found = connection(world)
    return found is not None and found.synchronised


# --- a whole conversation ---


async def test_an_ecs_agent_gets_its_task_its_manifest_and_heartbeats(world: World) -> None:
    await world.put(task())
    async with connected(world, world.acs_url()) as agent:
        payload = await agent.receive(acs.PayloadMessage)
        assert [(each.arn, each.desired_status) for each in payload.tasks] == [(arn(), "RUNNING")]
        assert payload.cluster_arn == "arn:aws:ecs:us-east-1:000000000000:cluster/default"
        assert payload.container_instance_arn == world.state.names.instance(instance())
        await agent.acknowledge(payload)
        manifest = await agent.receive(acs.TaskManifestMessage)
        assert [(each.task_arn, each.desired_status) for each in manifest.tasks] == [(arn(), "RUNNING")]
        await agent.acknowledge(manifest)
        heartbeat = await agent.receive(acs.HeartbeatMessage)
        await agent.say(acs.HeartbeatAckRequest(message_id=heartbeat.message_id))
        await eventually(lambda: is_connected(world) and is_synchronised(world))


async def test_our_agent_tells_its_tasks_first(world: World) -> None:
    await world.put(task(1), task(2, reported_status="RUNNING"))
    async with connected(world, world.acs_url(**OURS)) as agent:
        await agent.say(TaskInventoryMessage(tasks=(entry(2), entry(9))))
        hello = await agent.receive(HelloMessage)
        assert (hello.store_uuid, hello.epoch) == (world.state.meta.store_uuid, world.state.meta.epoch)
        payload = await agent.receive(acs.PayloadMessage)
        assert [each.arn for each in payload.tasks] == [arn(1)]
        await eventually(lambda: is_synchronised(world))


async def test_versions_are_booked_on_the_instance(world: World) -> None:
    async with connected(world, world.acs_url(**OURS)):
        booked = world.state.read().get(ContainerInstance, instance().key)
        assert booked is not None
        assert (booked.agent_version, booked.agent_hash, booked.docker_version) == (
            "1.105.1",
            "abc",
            "24.0.7",
        )
        assert (booked.machine_id, booked.boot_id, booked.version) == ("m1", "b1", 2)


async def test_a_new_task_is_sent_on_the_open_connection(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)
        await world.put(task())
        assert len((await agent.receive(acs.PayloadMessage)).tasks) == 1


# --- who may connect ---


async def test_the_cluster_may_be_given_by_arn(world: World) -> None:
    async with connected(world, world.acs_url(clusterArn=world.state.names.cluster("default"))):
        await eventually(lambda: is_connected(world))


async def test_an_unsigned_upgrade_is_refused(world: World) -> None:
    status, body, _ = await refused(world, world.acs_url(), headers={})
    assert (status, list(body)) == (403, ["MissingAuthenticationTokenException"])


async def test_a_signature_of_another_url_is_refused(world: World) -> None:
    headers = world.signed(world.acs_url(seqNum="2"))
    status, body, _ = await refused(world, world.acs_url(), headers=headers)
    assert (status, list(body)) == (403, ["InvalidSignatureException"])
    assert connection(world) is None


async def test_a_key_of_another_cluster_is_refused(world: World) -> None:
    for url in (world.acs_url(), world.tcs_url()):
        status, body, _ = await refused(world, url, credentials=world.foreign_credentials)
        assert (status, list(body)) == (400, ["AccessDeniedException"])


async def test_a_stale_signature_is_refused_but_shows_life_and_skew(world: World) -> None:
    status, body, headers = await refused(world, world.acs_url(), skew_s=-3600)
    assert (status, list(body)) == (403, ["InvalidSignatureException"])
    assert "Date" in headers
    found = connection(world)
    assert found is not None
    assert not found.connected
    assert found.clock_skew_s == pytest.approx(-3600, abs=5)
    assert world.gateway.contacts.last_sign("default", instance().id) is not None
    shown = render_instance(instance(), world.state.read(), ())
    assert shown["statusReason"].startswith("The instance's clock is -36")


async def test_a_forged_stale_signature_shows_nothing(world: World) -> None:
    headers = world.signed(world.acs_url(seqNum="2"), skew_s=-3600)
    await refused(world, world.acs_url(), headers=headers)
    assert connection(world) is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"containerInstanceArn": "arn:aws:ecs:us-east-1:000000000000:container-instance/default/" + "f" * 32},
        {
            "containerInstanceArn": "arn:aws:ecs:us-east-1:111111111111:container-instance/default/"
            + "0" * 31
            + "1"
        },
        {"containerInstanceArn": "junk"},
        {"containerInstanceArn": ""},
    ],
)
async def test_an_unknown_instance_is_refused_but_not_called_inactive(
    world: World, parameters: dict[str, str]
) -> None:
    status, body, _ = await refused(world, world.acs_url(**parameters))
    assert (status, list(body)) == (400, ["InvalidInstanceException"])


async def test_an_instance_under_the_name_of_another_cluster_is_refused(world: World) -> None:
    status, body, _ = await refused(world, world.acs_url(clusterArn="other"))
    assert (status, list(body)) == (400, ["InvalidClusterException"])


async def test_a_deregistered_instance_is_told_so(world: World) -> None:
    await world.put(instance(status="INACTIVE"))
    for url in (world.acs_url(), world.tcs_url()):
        status, body, _ = await refused(world, url)
        assert (status, list(body)) == (400, ["InactiveInstanceException"])


async def test_a_deregistered_instance_is_told_so_on_its_open_connection(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)
        await world.put(instance(status="INACTIVE"))
        assert await agent.closed() == 1008
        await eventually(lambda: connection(world) is None)


# --- rivals and storms ---


async def test_a_newer_connection_replaces_the_older(world: World) -> None:
    async with connected(world, world.acs_url()) as older:
        await older.receive(acs.TaskManifestMessage)
        async with connected(world, world.acs_url()) as newer:
            await newer.receive(acs.TaskManifestMessage)
            assert await older.closed() == 1008
            await world.put(task())
            assert len((await newer.receive(acs.PayloadMessage)).tasks) == 1
            assert is_connected(world)


async def test_a_second_machine_with_the_same_identity_is_refused(world: World) -> None:
    async with connected(world, world.acs_url(**OURS)) as agent:
        await agent.receive(acs.HeartbeatMessage)
        status, body, _ = await refused(world, world.acs_url(**{**OURS, "machineId": "m2"}))
        assert (status, list(body)) == (403, [IDENTITY_IN_USE])
    await eventually(lambda: not is_connected(world))
    async with connected(world, world.acs_url(**{**OURS, "bootId": "b2"})):
        await eventually(lambda: is_connected(world))


async def test_a_machine_that_boots_again_takes_over_once_its_old_connection_is_silent(world: World) -> None:
    rebooted = world.acs_url(**{**OURS, "bootId": "b2"})
    async with connected(world, world.acs_url(**OURS)):
        # The old boot answers nothing. Neither its successor's tries nor its calls make it look alive.
        refusals = 0
        while True:
            world.gateway.sign_of_life("default", instance().id)
            try:
                async with connected(world, rebooted) as agent:
                    await agent.receive(HelloMessage)
                    break
            except aiohttp.WSServerHandshakeError as refusal:
                if refusal.status != 403:
                    raise
                refusals += 1
                await asyncio.sleep(0.1)
    assert refusals


async def test_too_many_agents_at_once_are_told_to_come_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "MAX_SYNCHRONISING", 1)
    await world.put(instance(2))
    async with connected(world, world.acs_url(1)) as first:
        manifest = await first.receive(acs.TaskManifestMessage)
        assert (await refused(world, world.acs_url(2)))[0] == 503
        await first.acknowledge(manifest)
        await eventually(lambda: is_synchronised(world))
        async with connected(world, world.acs_url(2)) as second:
            await second.receive(acs.TaskManifestMessage)


# --- faults ---


async def test_an_agent_that_never_acknowledges_gets_the_payload_again(world: World) -> None:
    await world.put(task())
    async with connected(world, world.acs_url()) as agent:
        first, again = [await agent.receive(acs.PayloadMessage) for _ in range(2)]
        assert first.message_id == again.message_id
        assert again.seq_num is not None
        assert again.seq_num > (first.seq_num or 0)


async def test_a_connection_that_drops_brings_the_task_again(world: World) -> None:
    await world.put(task())
    for _ in range(3):
        async with connected(world, world.acs_url()) as agent:
            assert len((await agent.receive(acs.PayloadMessage)).tasks) == 1
            transport: Any = agent.websocket.get_extra_info("socket")
            assert transport is not None
            agent.websocket._response.connection.transport.abort()  # type: ignore[union-attr]  # no FIN, no close frame


async def test_a_closed_connection_disconnects_after_a_moment(world: World) -> None:
    async with connected(world, world.acs_url()):
        await eventually(lambda: is_connected(world))
    assert is_connected(world)
    await eventually(lambda: not is_connected(world))


async def test_an_agent_that_says_nothing_is_disconnected_then_cut(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        await eventually(lambda: not is_connected(world))
        assert await agent.closed() is None


async def test_a_goodbye_of_the_host_disconnects_at_once(world: World) -> None:
    async with connected(world, world.acs_url(**OURS)) as agent:
        await eventually(lambda: is_connected(world))
        await agent.say(GoodbyeMessage(expect="HOST_DOWN"))
        await eventually(lambda: not is_connected(world))


async def test_an_agent_that_does_not_read_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "SEND_TIMEOUT_S", 0.2)
    bulk = {"environment": [{"name": "BULK", "value": "x" * 60_000}]}
    await world.put(definition(container(**bulk)), *(task(n) for n in range(1, 501)))
    connection_ = await asyncio.to_thread(open_connection, world, world.acs_url())
    with closing(connection_):
        await eventually(lambda: connection(world) is not None)
        await eventually(lambda: not world.gateway._acs)


async def test_a_fault_of_ours_ends_one_session_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    await world.put(instance(2))
    async with (
        connected(world, world.acs_url(1)) as other,
        connected(world, world.acs_url(2, **OURS)) as agent,
    ):
        monkeypatch.setattr(Reconciler, "inventory", fail)
        await agent.say(TaskInventoryMessage())
        assert await agent.closed() == 1008
        await world.put(task())
        assert len((await other.receive(acs.PayloadMessage)).tasks) == 1


async def test_what_cannot_be_booked_now_is_told_again_on_the_next_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise StoreUnavailable

    async with connected(world, world.acs_url(**OURS)) as agent:
        await agent.receive(HelloMessage)
        monkeypatch.setattr(world.state.flusher, "admit", refuse)
        await agent.say(TaskInventoryMessage(tasks=(entry(9),)))
        assert await agent.closed() == 1013
    monkeypatch.undo()
    async with connected(world, world.acs_url(**OURS)) as agent:
        await agent.say(TaskInventoryMessage(tasks=(entry(9),)))
        await eventually(lambda: is_synchronised(world))


async def test_a_frame_without_end_ends_the_connection_and_nothing_else(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)
        with suppress(ConnectionError):  # the controller may be gone before it is sent
            await agent.websocket.send_str("x" * (MAX_FRAME_BYTES + 1))
        assert await agent.closed() in (1009, None)
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)


async def test_half_a_frame_ends_nothing_but_its_connection(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)
        connection_: Any = agent.websocket._response.connection
        connection_.transport.write(b"\x81\xfe\x01\x00mask half of it")
        connection_.transport.close()
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)


async def test_binary_frames_are_read_as_text(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        manifest = await agent.receive(acs.TaskManifestMessage)
        frame = f'{{"type":"AckRequest","message":{{"messageId":"{manifest.message_id}"}}}}'
        await agent.websocket.send_bytes(frame.encode())
        await eventually(lambda: is_synchronised(world))


async def test_the_controllers_end_sends_agents_away_in_order(world: World) -> None:
    async with connected(world, world.acs_url()) as agent, connected(world, world.tcs_url()) as telemetry:
        await agent.receive(acs.TaskManifestMessage)
        closing = asyncio.create_task(world.gateway.close())
        assert await agent.closed() == 1001
        assert await telemetry.closed() == 1001
        await closing
        assert (await refused(world, world.acs_url()))[0] == 503


async def test_an_agents_own_close_is_answered(world: World) -> None:
    async with connected(world, world.acs_url()) as agent:
        await agent.receive(acs.TaskManifestMessage)
        async with asyncio.timeout(5):
            await agent.websocket.close(code=1000, message=b"ConnectionExpired: Reconnect to continue")
        assert agent.websocket.close_code == aiohttp.WSCloseCode.OK
