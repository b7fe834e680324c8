"""One ACS conversation on fake time: order, resends, acknowledgements, full sync, and an agent that
misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from agent.protocol import acs
from agent.protocol.extensions import GoodbyeMessage, HelloMessage, InstanceDiskMessage, TaskInventoryMessage
from controller.gateway.acs_session import AcsSession
from controller.gateway.acs_writer import MAX_ANSWERS, AcsParts
from controller.gateway.reconciler import GONE_REASON
from controller.gateway.socket import AgentSocket
from controller.state.changes import Cause
from controller.state.entities import Deployment, InstanceConnection, QuarantinedTask, Task
from controller.state.indexes import QUARANTINED_BY_CLUSTER
from controller.state.kernel import State
from tests.support.clock import FakeClock
from tests.unit.gateway.conftest import acs_parts, put
from tests.unit.gateway.peer import Peer
from tests.unit.gateway.samples import INSTANCE_ID, arn, instance, task
from tests.unit.gateway.test_fullsync import entry

Connect = Callable[..., Peer]


@pytest.fixture
def parts(state: State, fake_clock: FakeClock, tmp_path: Path) -> AcsParts:
    """What a gateway gives its sessions."""
    return acs_parts(state, fake_clock, tmp_path)


@pytest.fixture
async def connect(parts: AcsParts) -> AsyncIterator[Connect]:
    """Connect an agent: an unmodified ECS agent, or one that speaks our messages (`extended`)."""
    running: list[asyncio.Task[None]] = []

    def connect_(*, extended: bool = False) -> Peer:
        peer = Peer()
        session = AcsSession(parts, instance(), cast("AgentSocket", peer), extended=extended)
        parts.state.subscribe(lambda _: session.wake())
        running.append(asyncio.create_task(session.run()))
        return peer

    yield connect_
    for conversation in running:
        conversation.cancel()
        with suppress(asyncio.CancelledError):
            await conversation


async def settle() -> None:
    """Let everything happen that happens at once; flushes included."""
    await asyncio.sleep(0.01)


def stored(state: State, number: int = 1) -> Task:
    """The task as it is in the state."""
    found = state.read().get(Task, task(number).key)
    assert found is not None
    return found


def connection(state: State) -> InstanceConnection:
    """What the state says about the instance's connection."""
    found = state.read().get(InstanceConnection, instance().key)
    assert found is not None
    return found


def quarantined(state: State) -> list[str]:
    """ARNs of the quarantined tasks."""
    records: Any = state.read().select(QUARANTINED_BY_CLUSTER, "default").values()
    return [record.task_arn for record in records if isinstance(record, QuarantinedTask)]


# --- an unmodified agent ---


async def test_payloads_come_first_and_the_manifest_after_them(state: State, connect: Connect) -> None:
    await put(state, *(task(n) for n in range(1, 13)))
    agent = connect()
    await settle()
    assert [type(message).__name__ for _, message in agent.sent] == [
        "PayloadMessage",
        "PayloadMessage",
        "TaskManifestMessage",
    ]
    assert [len(payload.tasks) for payload in agent.all(acs.PayloadMessage)] == [10, 2]
    assert len(agent.all(acs.TaskManifestMessage)[0].tasks) == 12


async def test_numbers_carry_the_epoch_and_the_manifest_is_above_all_before(
    state: State, connect: Connect
) -> None:
    await put(state, task())
    agent = connect()
    await settle()
    payload, manifest = agent.all(acs.PayloadMessage)[0], agent.all(acs.TaskManifestMessage)[0]
    assert payload.seq_num is not None
    assert manifest.timeline is not None
    assert payload.seq_num >> 32 == state.meta.epoch
    assert manifest.timeline > payload.seq_num


async def test_an_ecs_agent_hears_no_message_of_ours(state: State, connect: Connect) -> None:
    agent = connect()
    await asyncio.sleep(60)
    assert not agent.all(HelloMessage)


async def test_heartbeats_come_every_three_seconds(connect: Connect) -> None:
    agent = connect()
    await asyncio.sleep(31)
    assert agent.times(acs.HeartbeatMessage) == pytest.approx([3.0 * n for n in range(1, 11)], abs=0.1)


async def test_a_task_is_sent_as_soon_as_it_is_durable(state: State, connect: Connect) -> None:
    agent = connect()
    await settle()
    await put(state, task())
    await settle()
    assert agent.task_ids() == [("01", "RUNNING")]


async def test_later_tasks_of_a_deployment_get_the_image_that_the_first_settled(
    state: State, connect: Connect
) -> None:
    digest = "sha256:" + "1" * 64
    made = Deployment(
        cluster="default",
        service="web",
        id="ecs-svc/1",
        family="web",
        revision=3,
        image_digests=(("app", digest),),
        created_at=1.0,
        updated_at=1.0,
    )
    await put(state, made, task(1, service="web", deployment="ecs-svc/1"), task(2))
    agent = connect()
    await settle()
    images = [t.containers[0].image for payload in agent.all(acs.PayloadMessage) for t in payload.tasks]
    assert images == [f"busybox:1@{digest}", "busybox:1"]


async def test_an_acknowledged_task_is_sent_once(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect()
    await settle()
    for _ in range(2):
        agent.acknowledge(agent.all(acs.PayloadMessage)[0])
    await asyncio.sleep(300)
    assert agent.task_ids() == [("01", "RUNNING")]


async def test_an_agent_that_never_acknowledges_gets_five_resends(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect()
    await asyncio.sleep(3600)
    payloads = agent.all(acs.PayloadMessage)
    assert agent.times(acs.PayloadMessage) == pytest.approx([0, 5, 15, 35, 75, 155], abs=0.1)
    assert len({payload.message_id for payload in payloads}) == 1
    assert len({payload.seq_num for payload in payloads}) == 6


async def test_a_late_acknowledgement_of_the_first_try_counts(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect()
    await asyncio.sleep(6)
    agent.acknowledge(agent.all(acs.PayloadMessage)[0])
    await asyncio.sleep(300)
    assert len(agent.all(acs.PayloadMessage)) == 2


async def test_a_new_connection_brings_what_was_not_acknowledged(state: State, connect: Connect) -> None:
    await put(state, task())
    first = connect()
    await settle()
    first.cut()
    second = connect()
    await settle()
    assert second.task_ids() == [("01", "RUNNING")]


async def test_a_stop_overtakes_resends_of_the_start(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect()
    await asyncio.sleep(4)
    await put(state, task(desired_status="STOPPED"))
    await asyncio.sleep(60)
    statuses = [status for _, status in agent.task_ids()]
    assert statuses[:2] == ["RUNNING", "STOPPED"]
    assert "RUNNING" not in statuses[1:]


async def test_a_stop_carries_the_whole_task(state: State, connect: Connect) -> None:
    await put(state, task(desired_status="STOPPED", reported_status="RUNNING"))
    agent = connect()
    await settle()
    (sent,) = agent.all(acs.PayloadMessage)[0].tasks
    assert (sent.desired_status, sent.containers[0].image) == ("STOPPED", "busybox:1")


async def test_a_stop_is_repeated_on_every_connection_until_it_is_reported(
    state: State, connect: Connect
) -> None:
    await put(state, task(desired_status="STOPPED", reported_status="RUNNING"))
    for _ in range(3):
        agent = connect()
        await settle()
        assert agent.task_ids() == [("01", "STOPPED")]
        agent.acknowledge(agent.all(acs.PayloadMessage)[0])
        agent.cut()
    await put(state, task(desired_status="STOPPED", reported_status="STOPPED"))
    agent = connect()
    await settle()
    assert agent.task_ids() == []


async def test_a_reported_task_is_neither_sent_nor_sent_again(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect()
    await settle()
    await put(state, task(reported_status="RUNNING"))
    await asyncio.sleep(300)
    assert len(agent.all(acs.PayloadMessage)) == 1


async def test_a_stop_of_a_vanished_definition_still_reaches_the_agent(
    state: State, connect: Connect
) -> None:
    await put(
        state, task(revision=99, desired_status="STOPPED", reported_status="RUNNING"), task(2, revision=99)
    )
    agent = connect()
    await settle()
    assert agent.task_ids() == [("01", "STOPPED")]


async def test_an_acknowledged_manifest_synchronises(state: State, connect: Connect) -> None:
    agent = connect()
    await settle()
    assert not connection(state).synchronised
    agent.acknowledge(agent.all(acs.TaskManifestMessage)[0])
    await settle()
    assert connection(state).synchronised


async def test_an_agent_that_ignores_manifests_counts_as_synchronised_in_the_end(
    state: State, connect: Connect
) -> None:
    connect()
    await asyncio.sleep(29)
    assert not connection(state).synchronised
    await asyncio.sleep(2)
    assert connection(state).synchronised


async def test_only_decided_stop_candidates_are_confirmed_and_unknown_ones_quarantined(
    state: State, connect: Connect
) -> None:
    agent = connect()
    await settle()
    manifest = agent.all(acs.TaskManifestMessage)[0]
    await put(state, task(1), task(2, desired_status="STOPPED", reported_status="RUNNING"))
    agent.acknowledge(manifest)
    agent.say(
        acs.TaskStopVerificationMessage(
            message_id=manifest.message_id,
            stop_candidates=tuple(
                acs.TaskIdentifier(task_arn=arn(n), desired_status="STOPPED") for n in (1, 2, 3)
            ),
        )
    )
    await settle()
    (answer,) = agent.all(acs.TaskStopVerificationAck)
    assert answer.message_id == manifest.message_id
    assert [each.task_arn for each in answer.stop_tasks] == [arn(2)]
    assert quarantined(state) == [arn(3)]
    await asyncio.sleep(10)
    assert quarantined(state) == [arn(3)]


async def test_a_verification_of_another_manifest_is_not_answered(state: State, connect: Connect) -> None:
    await put(state, task(desired_status="STOPPED", reported_status="RUNNING"))
    agent = connect()
    await settle()
    agent.say(
        acs.TaskStopVerificationMessage(
            message_id="other", stop_candidates=(acs.TaskIdentifier(task_arn=arn(1)),)
        )
    )
    await settle()
    assert not agent.all(acs.TaskStopVerificationAck)


async def test_quarantine_ends_when_an_ecs_agent_asks_about_nothing(state: State, connect: Connect) -> None:
    await put(
        state,
        QuarantinedTask(cluster="default", instance=INSTANCE_ID, task_arn=arn(9), first_seen_at=1.0),
    )
    agent = connect()
    await settle()
    agent.acknowledge(agent.all(acs.TaskManifestMessage)[0])
    await asyncio.sleep(2)
    assert quarantined(state) == [arn(9)]
    await asyncio.sleep(2)
    assert quarantined(state) == []


# --- our agent ---


async def test_our_agent_hears_who_speaks_first(state: State, connect: Connect) -> None:
    agent = connect(extended=True)
    await settle()
    assert agent.sent[0][1] == HelloMessage(
        store_uuid=state.meta.store_uuid,
        epoch=state.meta.epoch,
        heartbeat_interval_ms=3000,
        resolves_secrets=True,
    )


async def test_starts_wait_for_the_inventory_and_stops_do_not(state: State, connect: Connect) -> None:
    await put(state, task(1), task(2, desired_status="STOPPED", reported_status="RUNNING"))
    agent = connect(extended=True)
    await asyncio.sleep(1)
    assert agent.task_ids() == [("02", "STOPPED")]
    agent.say(TaskInventoryMessage(tasks=(entry(2),)))
    await settle()
    assert agent.task_ids() == [("02", "STOPPED"), ("01", "RUNNING")]
    assert connection(state).synchronised


async def test_an_agent_that_tells_nothing_is_treated_as_an_ecs_agent(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect(extended=True)
    await asyncio.sleep(4.9)
    assert agent.task_ids() == []
    await asyncio.sleep(0.2)
    assert agent.task_ids() == [("01", "RUNNING")]
    agent.acknowledge(agent.all(acs.TaskManifestMessage)[0])
    await settle()
    assert connection(state).synchronised


async def test_a_task_in_the_inventory_is_not_sent(state: State, connect: Connect) -> None:
    await put(state, task(reported_status="PENDING"))
    agent = connect(extended=True)
    agent.say(TaskInventoryMessage(tasks=(entry(known_status="CREATED", sent_status="PENDING"),)))
    await asyncio.sleep(300)
    assert agent.task_ids() == []


async def test_a_task_that_is_gone_from_the_agent_is_booked_stopped(state: State, connect: Connect) -> None:
    await put(state, task(reported_status="RUNNING", has_run=True))
    connect(extended=True).say(TaskInventoryMessage())
    await settle()
    assert (stored(state).reported_status, stored(state).desired_status) == ("STOPPED", "STOPPED")
    assert stored(state).stopped_reason == GONE_REASON


async def test_a_payload_that_the_agent_acknowledged_and_lost_is_not_sent_again(
    state: State, connect: Connect
) -> None:
    await put(state, task())
    first = connect(extended=True)
    first.say(TaskInventoryMessage())
    await settle()
    first.acknowledge(first.all(acs.PayloadMessage)[0])
    await settle()
    first.cut()
    second = connect(extended=True)
    second.say(TaskInventoryMessage())
    await settle()
    assert second.task_ids() == []
    assert stored(state).reported_status == "STOPPED"


async def test_a_payload_that_was_never_acknowledged_is_sent_again(state: State, connect: Connect) -> None:
    await put(state, task())
    first = connect(extended=True)
    first.say(TaskInventoryMessage())
    await settle()
    first.cut()
    second = connect(extended=True)
    second.say(TaskInventoryMessage())
    await settle()
    assert second.task_ids() == [("01", "RUNNING")]


async def test_word_of_a_full_disk_is_booked_until_it_has_room_again(state: State, connect: Connect) -> None:
    agent = connect(extended=True)
    agent.say(InstanceDiskMessage(status="FULL", reason="disk 91 % full on /data"))
    agent.say(TaskInventoryMessage())
    await settle()
    assert connection(state).disk_status == "FULL"
    assert connection(state).disk_reason == "disk 91 % full on /data"
    since = connection(state).disk_changed_at
    await asyncio.sleep(10)
    agent.say(InstanceDiskMessage(status="FULL", reason="disk 92 % full on /data"))
    await settle()
    assert connection(state).disk_changed_at == since
    agent.say(InstanceDiskMessage(status="OK"))
    await settle()
    assert (connection(state).disk_status, connection(state).disk_reason) == ("OK", "")


async def test_unknown_tasks_are_quarantined_and_left_alone(state: State, connect: Connect) -> None:
    agent = connect(extended=True)
    agent.say(TaskInventoryMessage(tasks=(entry(8), entry(9))))
    await asyncio.sleep(60)
    assert sorted(quarantined(state)) == [arn(8), arn(9)]
    assert agent.task_ids() == []
    agent.cut()
    connect(extended=True).say(TaskInventoryMessage(tasks=(entry(9),)))
    await settle()
    assert quarantined(state) == [arn(9)]


async def test_a_forced_off_task_that_still_runs_is_stopped(state: State, connect: Connect) -> None:
    await put(state, task(desired_status="STOPPED", disposition="FORCED", reported_status="RUNNING"))
    agent = connect(extended=True)
    agent.say(TaskInventoryMessage(tasks=(entry(),)))
    await settle()
    assert agent.task_ids() == [("01", "STOPPED")]
    agent.acknowledge(agent.all(acs.PayloadMessage)[0])
    await asyncio.sleep(300)
    assert agent.task_ids() == [("01", "STOPPED")]


async def test_a_task_that_retired_long_ago_and_still_runs_is_stopped(state: State, connect: Connect) -> None:
    ended = task(desired_status="STOPPED", disposition="FORCED", reported_status="RUNNING")
    await put(state, ended)
    with state.transaction(_cause()) as tx:
        state.history.retire_task(tx, ended)
    await state.flushed(tx.touched)
    agent = connect(extended=True)
    agent.say(TaskInventoryMessage(tasks=(entry(),)))
    await settle()
    assert agent.task_ids() == [("01", "STOPPED")]
    assert quarantined(state) == []


async def test_a_host_that_goes_down_says_so(state: State, connect: Connect) -> None:
    agent = connect(extended=True)
    agent.say(GoodbyeMessage(expect="HOST_DOWN"))
    await settle()
    assert not connection(state).connected


async def test_our_agent_hears_of_a_new_interval_before_it_applies(parts: AcsParts, connect: Connect) -> None:
    agent = connect(extended=True)
    await settle()
    for number in range(2, 1600):
        parts.contacts.opened(instance(number))
    await asyncio.sleep(20)
    hellos = agent.all(HelloMessage)
    assert [hello.heartbeat_interval_ms for hello in hellos] == [3000, 5846]
    times = agent.times(acs.HeartbeatMessage)
    assert times == pytest.approx([3.0, 8.85, 14.69], abs=0.1)


# --- misbehaviour ---


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        '{"type":7}',
        '{"type":"AckRequest","message":[]}',
        '{"type":"Nonsense","message":{}}',
        "\x00\xff",
    ],
)
async def test_a_malformed_frame_is_answered_by_nothing_and_ends_nothing(
    state: State, connect: Connect, frame: str
) -> None:
    agent = connect()
    await settle()
    before = len(agent.sent)
    agent.say(frame)
    await settle()
    assert len(agent.sent) == before
    await put(state, task())
    await settle()
    assert agent.task_ids() == [("01", "RUNNING")]


async def test_messages_that_only_a_controller_sends_are_ignored(connect: Connect) -> None:
    agent = connect()
    agent.say(acs.PayloadMessage(message_id="x"))
    agent.say(acs.TaskStopVerificationAck(message_id="x"))
    await settle()
    assert agent.closed_with is None


async def test_an_agent_that_asks_without_reading_is_cut_off(connect: Connect) -> None:
    agent = connect()
    await settle()
    manifest = agent.all(acs.TaskManifestMessage)[0]
    agent.reads.clear()
    for _ in range(MAX_ANSWERS + 2):
        agent.say(acs.TaskStopVerificationMessage(message_id=manifest.message_id))
    await settle()
    assert agent.was_cut


async def test_an_agent_that_does_not_read_has_nothing_queued_for_it(state: State, connect: Connect) -> None:
    agent = connect()
    await settle()
    agent.reads.clear()
    for number in range(1, 101):
        await put(state, task(number))
    agent.reads.set()
    await settle()
    sizes = [len(payload.tasks) for payload in agent.all(acs.PayloadMessage)]
    assert sum(sizes) == 100
    assert len(sizes) <= 11


async def test_a_refused_payload_is_not_repeated_on_this_connection(state: State, connect: Connect) -> None:
    await put(state, task())
    agent = connect()
    await settle()
    agent.say(acs.NackRequest(message_id=agent.all(acs.PayloadMessage)[0].message_id, reason="another store"))
    await asyncio.sleep(300)
    assert len(agent.all(acs.PayloadMessage)) == 1


def _cause() -> Cause:
    return Cause(kind="timer", id="test")
