"""What the tap shows to whom, and that it does nothing while nobody watches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol import acs, envelope
from controller.api.context import Caller
from controller.state.kernel import State
from controller.wire import tap as tap_module
from controller.wire.records import WireRecord
from controller.wire.tap import NOT_READ, QUEUE, ApiCall, Watcher, WireTap
from tests.support.clock import FakeClock
from tests.unit.gateway.conftest import put, state
from tests.unit.gateway.samples import INSTANCE_ID, arn, instance, task

__all__ = ["state"]

HEARTBEAT = envelope.encode(acs.HeartbeatMessage(message_id="h1", healthy=True))
AGENT = Caller("arn:agent", "AKID", "agent", "default")
ADMINISTRATOR = Caller("arn:administrator", "AKID", "administrator")


@pytest.fixture
def tap(state: State, fake_clock: FakeClock) -> WireTap:
    return WireTap(state, fake_clock)


def call(
    operation: str, request: Any, answer: Any = None, *, caller: Caller = AGENT, code: str = "OK"
) -> ApiCall:
    return ApiCall(
        "r1", caller, operation, code, 0.0, msgspec.json.encode(request), msgspec.json.encode(answer or {})
    )


async def shown(watcher: Watcher, number: int = 1) -> list[WireRecord]:
    """So many records, and no more."""
    records = [await watcher.next() for _ in range(number)]
    watcher.end()
    assert await watcher.next() is None
    return [each for each in records if each is not None]


async def test_while_nobody_watches_no_frame_is_looked_into(
    tap: WireTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_module, "_decoded", lambda _: pytest.fail("a frame was decoded"))
    line = tap.connection("acs", instance())
    line.passed("controller", HEARTBEAT)
    with tap.watching():
        pass
    line.passed("controller", HEARTBEAT)
    assert not tap.watched


async def test_a_frame_is_shown_with_its_members(tap: WireTap) -> None:
    line = tap.connection("acs", instance())
    with tap.watching() as watcher:
        line.passed("controller", HEARTBEAT)
        (record,) = await shown(watcher)
    assert (record.type, record.sender, record.instance) == ("HeartbeatMessage", "controller", INSTANCE_ID)
    assert record.message == {"messageId": "h1", "healthy": True}


async def test_signatures_of_frames_are_not_shown(tap: WireTap) -> None:
    line = tap.connection("tcs", instance())
    with tap.watching() as watcher:
        line.passed("agent", envelope.join_signed_frame({"Authorization": "AWS4 secret"}, HEARTBEAT))
        (record,) = await shown(watcher)
    assert record.type == "HeartbeatMessage"
    assert "secret" not in repr(record)


@pytest.mark.parametrize("frame", ["no JSON", "{", '{"message": {"secret": "x"}}', "[1]", "7", '{"type": 7}'])
async def test_of_what_cannot_be_read_nothing_is_shown(tap: WireTap, frame: str) -> None:
    line = tap.connection("acs", instance())
    with tap.watching() as watcher:
        line.passed("agent", frame)
        (record,) = await shown(watcher)
    assert (record.type, record.message) == (NOT_READ, {})


async def test_who_watches_one_instance_is_shown_no_other(tap: WireTap) -> None:
    lines = [tap.connection("acs", instance(number)) for number in (1, 2)]
    with tap.watching(INSTANCE_ID) as one, tap.watching() as both:
        for line in lines:
            line.passed("controller", HEARTBEAT)
        assert [each.connection for each in await shown(one)] == [1]
        assert [each.connection for each in await shown(both, 2)] == [1, 2]


async def test_what_a_watcher_does_not_read_in_time_is_dropped_and_counted(tap: WireTap) -> None:
    line = tap.connection("acs", instance())
    with tap.watching() as watcher:
        for _ in range(QUEUE + 3):
            line.passed("controller", HEARTBEAT)
        waiting = [await watcher.next() for _ in range(QUEUE)]
        assert [each.dropped for each in waiting if each] == [0] * QUEUE
        line.passed("controller", HEARTBEAT)
        line.passed("controller", HEARTBEAT)
        assert [each.dropped for each in await shown(watcher, 2)] == [3, 0]


async def test_at_the_end_watchers_are_sent_away_and_those_who_come_later_too(tap: WireTap) -> None:
    with tap.watching() as watcher:
        tap.end()
        assert await watcher.next() is None
    with tap.watching() as late:
        assert await late.next() is None


async def test_a_call_and_its_answer_are_shown_as_those_of_the_instance_of_its_task(
    tap: WireTap, state: State
) -> None:
    await put(state, task())
    with tap.watching(INSTANCE_ID) as watcher:
        tap.call(call("SubmitTaskStateChange", {"cluster": "default", "task": arn(), "status": "RUNNING"}))
        asked, told = await shown(watcher, 2)
    assert (asked.type, asked.sender, asked.at, asked.call) == ("SubmitTaskStateChange", "agent", 0.0, "r1")
    assert (told.type, told.sender, told.call) == ("SubmitTaskStateChange", "controller", "r1")


async def test_an_answer_that_is_an_error_is_named_so(tap: WireTap) -> None:
    refused = call("DiscoverPollEndpoint", {"containerInstance": INSTANCE_ID}, code="ServerException")
    with tap.watching(INSTANCE_ID) as watcher:
        tap.call(refused)
        assert [each.type for each in await shown(watcher, 2)] == ["DiscoverPollEndpoint", "ServerException"]


async def test_a_first_registration_is_that_of_the_instance_that_the_answer_names(
    tap: WireTap, state: State
) -> None:
    answer = {"containerInstance": {"containerInstanceArn": state.names.instance(instance())}}
    with tap.watching(INSTANCE_ID) as watcher:
        tap.call(call("RegisterContainerInstance", {"cluster": "default"}, answer, caller=ADMINISTRATOR))
        assert len(await shown(watcher, 2)) == 2


async def test_calls_that_are_no_agents_or_no_instances_are_not_shown(tap: WireTap) -> None:
    with tap.watching() as watcher:
        tap.call(call("UpdateContainerInstancesState", {"containerInstances": ["x"]}, caller=ADMINISTRATOR))
        tap.call(call("SubmitTaskStateChange", {"task": "unknown"}))
        tap.call(ApiCall("r", AGENT, "CreateCluster", "OK", 0.0, b"no JSON", b""))
        assert await shown(watcher, 0) == []


async def test_a_renewal_of_credentials_is_shown_without_the_new_secret(tap: WireTap) -> None:
    own = Caller("arn:agent", "AKID", "agent", "default", instance=INSTANCE_ID)
    renewal = call("RenewAgentCredentials", {"exchangeId": "e", "secretAccessKey": "s3cr3t"}, caller=own)
    with tap.watching(INSTANCE_ID) as watcher:
        tap.call(renewal)
        asked, _ = await shown(watcher, 2)
    assert asked.message == {"exchangeId": "e", "secretAccessKey": "***"}
