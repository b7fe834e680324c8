"""The wire as administrators see it: frames of both kinds of agent, as they pass, without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from agent.protocol import acs, extensions, tcs
from agent.protocol.signing import Credentials
from agent.session.replay import replay as agent_replay
from controller.wire import desk
from controller.wire.records import WIRE_PATH, WireRecord, record_of
from controller.wire.replay import replay as gateway_replay
from controller.wire.sequence import Sequence, Step
from tests.integration.gateway.harness import PATIENCE_S, World, connected, eventually
from tests.unit.gateway.samples import INSTANCE_ID, arn, container, definition, task

SECRET = "s3cr3t-value"


class Watching:
    """One who reads the stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._sequence = Sequence()
        self.text = b""

    async def step(self, kind: str) -> Step:
        """The next message of a type."""
        async with asyncio.timeout(PATIENCE_S):
            while line := await self._answer.content.readline():
                self.text += line
                if line.strip():
                    step = self._sequence.step(record_of(line))
                    if step.record.type == kind:
                        return step
        raise AssertionError(f"the stream ended before {kind}")

    async def record(self, kind: str) -> WireRecord:
        return (await self.step(kind)).record


@asynccontextmanager
async def asked(
    world: World, credentials: Credentials, query: str = ""
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to somebody who asks to watch."""
    url = f"http://127.0.0.1:{world.port}{WIRE_PATH}{query}"
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, headers=world.signed(url, credentials=credentials)) as answer,
    ):
        yield answer


@asynccontextmanager
async def watched(world: World, query: str = "") -> AsyncIterator[Watching]:
    async with asked(world, world.administrator, query) as answer:
        assert answer.status == 200
        yield Watching(answer)


async def test_the_start_of_a_task_by_an_ecs_agent_is_seen_without_its_secrets(world: World) -> None:
    variable = {"name": "PASSWORD", "value": SECRET}
    await world.put(definition(container(environment=[variable])), task())
    async with (
        watched(world, f"?instance={INSTANCE_ID}") as watching,
        connected(world, world.acs_url()) as agent,
    ):
        payload = await agent.receive(acs.PayloadMessage)
        assert SECRET in repr([each.environment for each in payload.tasks[0].containers])
        await agent.acknowledge(payload)
        shown = await watching.record("PayloadMessage")
        assert shown.message["tasks"][0]["arn"] == arn()
        assert shown.message["tasks"][0]["containers"][0]["environment"]["PASSWORD"] == "***"
        ack = await watching.step("AckRequest")
        assert ack.answers == shown
        assert ack.after_s is not None
        assert SECRET.encode() not in watching.text


async def test_the_messages_of_our_agent_and_its_telemetry_are_seen(world: World) -> None:
    async with watched(world) as watching:
        async with connected(world, world.acs_url(homeportProtocol="1")) as agent:
            await agent.say(extensions.TaskInventoryMessage())
            assert (await watching.record("HelloMessage")).sender == "controller"
            assert (await watching.record("TaskInventoryMessage")).sender == "agent"
        async with connected(world, world.tcs_url()) as agent:
            await agent.say_signed(tcs.PublishMetricsRequest())
            published = await watching.record("PublishMetricsRequest")
            assert (await watching.step("AckPublishMetric")).answers == published
        assert b"AWS4-HMAC" not in watching.text


async def test_what_was_seen_of_an_ecs_agent_follows_from_our_rules(world: World, tmp_path: Path) -> None:
    await world.put(task())
    async with watched(world) as watching, connected(world, world.acs_url()) as agent:
        payload = await agent.receive(acs.PayloadMessage)
        await agent.acknowledge(payload)
        manifest = await agent.receive(acs.TaskManifestMessage)
        await agent.acknowledge(manifest)
        stray = (acs.TaskIdentifier(task_arn=arn(9), desired_status="STOPPED"),)
        await agent.say(
            acs.TaskStopVerificationMessage(message_id=manifest.message_id, stop_candidates=stray)
        )
        seen = await watching.record("TaskStopVerificationAck")
        assert seen.message.get("stopTasks", []) == []
    lines = [line for line in watching.text.splitlines() if line.strip()]
    sent = list(gateway_replay(lines))
    assert len(sent) == 3
    assert all(each.agrees for each in sent)
    said = [each async for each in agent_replay(lines, tmp_path / "replayed")]
    (objected,) = [each for each in said if not each.agrees]
    # The stray task was there before the recording began, and an ECS agent tells no inventory.
    assert record_of(lines[_position(lines, objected.number)]).type == "TaskStopVerificationMessage"
    assert len(said) > 2


def _position(lines: list[bytes], number: int) -> int:
    return next(i for i, line in enumerate(lines) if record_of(line).number == number)


async def test_nobody_but_an_administrator_may_watch(world: World) -> None:
    async with asked(world, world.credentials) as answer:
        assert answer.status == 400
        assert (await answer.json())["__type"] == "AccessDeniedException"
    assert not world.gateway.wire.watched


async def test_one_more_than_are_bearable_is_told_to_come_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MAX_WATCHERS", 1)
    async with watched(world), asked(world, world.administrator) as second:
        assert (await second.json())["__type"] == "LimitExceededException"


async def test_when_a_watcher_has_gone_frames_are_looked_into_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SIGN_OF_LIFE_S", 0.05)
    async with watched(world):
        assert world.gateway.wire.watched
    await eventually(lambda: not world.gateway.wire.watched)


async def test_the_stream_ends_with_the_controller(world: World) -> None:
    async with asked(world, world.administrator) as answer:
        await world.gateway.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await answer.content.read() == b""
