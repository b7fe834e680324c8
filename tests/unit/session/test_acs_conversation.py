"""What the agent answers to the controller's orders, and which orders it does not follow."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.engine.changes import KnownTask, RejectedTask
from agent.identity import IdentityFile
from agent.protocol import acs
from agent.protocol.envelope import UnknownMessage
from agent.protocol.extensions import HelloMessage
from agent.session.acs_conversation import Conversation, ManifestMark
from agent.session.acs_rules import inventory, patience_s
from agent.session.websocket import ConnectionEnded
from tests.unit.session.fakes import CLUSTER_ARN, INSTANCE_ARN, FakeEngine, known

MINE, OTHER = "store-mine", "store-other"
Addressed: Any = {"cluster_arn": CLUSTER_ARN, "container_instance_arn": INSTANCE_ARN}


class Talk:
    """A conversation with its agent's identity and engine at hand."""

    def __init__(self, data_dir: Path, *tasks: KnownTask) -> None:
        self.data_dir = data_dir
        self.engine = FakeEngine(*tasks)
        self.identity = IdentityFile.load(data_dir, "default", "m")
        self.mark = ManifestMark(self.identity.current.manifest_mark)
        self.reconnect()

    def reconnect(self) -> None:
        self.conversation = Conversation(self.identity, self.mark, self.engine)

    def restart(self) -> None:
        self.identity = IdentityFile.load(self.data_dir, "default", "m")
        self.mark = ManifestMark(self.identity.current.manifest_mark)
        self.reconnect()

    async def say(self, message: msgspec.Struct) -> list[msgspec.Struct]:
        return list(await self.conversation.answer(message))

    async def hello(self, store: str = MINE, epoch: int = 1) -> None:
        hello = HelloMessage(store_uuid=store, epoch=epoch, heartbeat_interval_ms=3000)
        assert await self.say(hello) == []


def payload(*tasks: acs.Task, message_id: str = "p1", seq_num: int = 1) -> acs.PayloadMessage:
    return acs.PayloadMessage(message_id=message_id, seq_num=seq_num, tasks=tasks, **Addressed)


def manifest(timeline: int, *running: str, message_id: str = "m1") -> acs.TaskManifestMessage:
    tasks = tuple(acs.TaskIdentifier(task_arn=arn, desired_status="RUNNING") for arn in running)
    return acs.TaskManifestMessage(message_id=message_id, timeline=timeline, tasks=tasks, **Addressed)


def verification(*stops: str, message_id: str = "m1") -> acs.TaskStopVerificationAck:
    tasks = tuple(acs.TaskIdentifier(task_arn=arn, desired_status="STOPPED") for arn in stops)
    return acs.TaskStopVerificationAck(message_id=message_id, stop_tasks=tasks)


def ack(message_id: str) -> acs.AckRequest:
    return acs.AckRequest(cluster=CLUSTER_ARN, container_instance=INSTANCE_ARN, message_id=message_id)


def asked_to_verify(replies: list[msgspec.Struct]) -> list[str | None]:
    return [
        candidate.task_arn
        for reply in replies
        if isinstance(reply, acs.TaskStopVerificationMessage)
        for candidate in reply.stop_candidates
    ]


async def test_a_payload_is_acknowledged_after_the_engine_has_taken_it(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    task = acs.Task(arn="t1", desired_status="RUNNING")
    assert await talk.say(payload(task)) == [ack("p1")]
    assert talk.engine.accepted == [task]


async def test_each_set_of_credentials_is_acknowledged_by_itself(tmp_path: Path) -> None:
    def credentials(name: str) -> acs.IAMRoleCredentials:
        return acs.IAMRoleCredentials(credentials_id=name, expiration=f"{name}-end")

    replies = await Talk(tmp_path).say(
        payload(
            acs.Task(arn="a", role_credentials=credentials("r"), execution_role_credentials=credentials("e")),
            acs.Task(arn="b", role_credentials=credentials("s")),
            acs.Task(arn="c"),
        )
    )
    assert replies == [
        ack("p1"),
        *(
            acs.IAMRoleCredentialsAckRequest(message_id="p1", credentials_id=name, expiration=f"{name}-end")
            for name in ("r", "e", "s")
        ),
    ]


async def test_a_payload_that_the_engine_could_not_save_is_not_acknowledged(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.engine.accept_fails = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        await talk.say(payload(acs.Task(arn="t1")))


async def test_a_rejected_task_is_acknowledged_for_it_is_reported_stopped(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.engine.rejects = (RejectedTask("t1", "UnrecogniedTaskError: Error loading task - x"),)
    assert await talk.say(payload(acs.Task(arn="t1"))) == [ack("p1")]


@pytest.mark.parametrize("missing", ["message_id", "cluster_arn", "container_instance_arn"])
async def test_a_payload_without_address_is_dropped_in_silence(tmp_path: Path, missing: str) -> None:
    talk = Talk(tmp_path)
    broken = msgspec.structs.replace(payload(acs.Task(arn="t1")), **{missing: None})
    assert await talk.say(broken) == []
    assert talk.engine.accepted == []


async def test_a_manifest_names_what_is_too_much_and_only_verified_stops_are_made(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("keep"), known("extra"), known("other"), known("ended", desired="STOPPED"))
    replies = await talk.say(manifest(5, "keep"))
    assert replies[0] == ack("m1")
    assert asked_to_verify(replies) == ["extra", "other"]
    assert talk.engine.stopped == []
    await talk.say(verification("extra", "keep", "never-asked"))
    assert talk.engine.stopped == ["extra"]


async def test_a_manifest_that_wants_all_that_runs_is_only_acknowledged(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("keep"))
    assert await talk.say(manifest(5, "keep", "unknown-here")) == [ack("m1")]


async def test_a_verification_counts_once_and_for_its_own_manifest_only(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("extra"))
    await talk.say(manifest(5))
    await talk.say(verification("extra", message_id="other"))
    await talk.say(manifest(6, message_id="m2"))
    await talk.say(verification("extra", message_id="m1"))
    assert talk.engine.stopped == []
    await talk.say(verification("extra", message_id="m2"))
    await talk.say(verification("extra", message_id="m2"))
    assert talk.engine.stopped == ["extra"]


async def test_a_verification_of_an_earlier_connection_does_not_count(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("extra"))
    await talk.say(manifest(5))
    talk.reconnect()
    await talk.say(verification("extra"))
    assert talk.engine.stopped == []


async def test_a_manifest_not_above_every_number_seen_is_stale(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("extra"))
    await talk.say(payload(seq_num=7))
    assert await talk.say(manifest(7)) == []
    talk.reconnect()
    assert await talk.say(manifest(6)) == []
    assert asked_to_verify(await talk.say(manifest(8))) == ["extra"]
    assert await talk.say(manifest(8)) == []
    talk.restart()
    assert await talk.say(manifest(8)) == []
    assert asked_to_verify(await talk.say(manifest(9))) == ["extra"]


async def test_the_first_store_that_says_hello_is_followed_from_then_on(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    await talk.hello(MINE, epoch=4)
    assert (talk.identity.current.store_uuid, talk.identity.current.epoch) == (MINE, 4)
    await talk.hello(MINE, epoch=6)
    assert talk.identity.current.epoch == 6


async def test_a_superseded_controller_is_not_listened_to(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    await talk.hello(MINE, epoch=6)
    talk.restart()
    with pytest.raises(ConnectionEnded, match="superseded"):
        await talk.hello(MINE, epoch=5)


async def test_another_store_may_give_work_but_its_manifests_are_refused_while_tasks_of_ours_run(
    tmp_path: Path,
) -> None:
    talk = Talk(tmp_path, known("mine"))
    await talk.hello(MINE)
    talk.reconnect()
    await talk.hello(OTHER)
    assert await talk.say(payload(acs.Task(arn="theirs"))) == [ack("p1")]
    assert await talk.say(manifest(99)) == []
    await talk.say(verification("mine", message_id="m1"))
    assert [task.arn for task in talk.engine.accepted] == ["theirs"]
    assert talk.engine.stopped == []
    assert talk.identity.current.store_uuid == MINE


async def test_the_numbers_of_another_store_make_no_manifest_of_ours_stale(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("mine"))
    await talk.hello(MINE)
    talk.reconnect()
    await talk.hello(OTHER)
    await talk.say(payload(acs.Task(arn="theirs"), seq_num=9 << 32))
    talk.reconnect()
    await talk.hello(MINE, epoch=2)
    assert await talk.say(manifest(2 << 32, "mine")) == [ack("m1")]


async def test_another_store_is_followed_as_soon_as_nothing_of_the_old_one_runs(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("mine"))
    await talk.hello(MINE, epoch=9)
    await talk.say(manifest(50, "mine"))
    talk.reconnect()
    await talk.hello(OTHER, epoch=1)
    talk.engine.tasks = [known("mine", desired="STOPPED", status="STOPPED")]
    assert await talk.say(payload(acs.Task(arn="theirs"), seq_num=1)) == [ack("p1")]
    assert (talk.identity.current.store_uuid, talk.identity.current.epoch) == (OTHER, 1)
    assert await talk.say(manifest(2)) == [ack("m1")]


async def test_a_controller_that_says_no_hello_is_followed_as_ecs_is(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("mine"))
    await talk.hello(MINE)
    talk.reconnect()
    assert await talk.say(payload(acs.Task(arn="t1"))) == [ack("p1")]


def credentials_message(**changes: Any) -> acs.IAMRoleCredentialsMessage:
    message = acs.IAMRoleCredentialsMessage(
        message_id="c1",
        task_arn="t1",
        role_type="TaskApplication",
        role_credentials=acs.IAMRoleCredentials(credentials_id="id", expiration="2026-01-01T00:00:00Z"),
    )
    return msgspec.structs.replace(message, **changes)


async def test_fresh_credentials_of_a_known_task_are_kept_and_acknowledged(tmp_path: Path) -> None:
    talk = Talk(tmp_path, known("t1"))
    assert await talk.say(credentials_message()) == [
        acs.IAMRoleCredentialsAckRequest(
            message_id="c1", credentials_id="id", expiration="2026-01-01T00:00:00Z"
        )
    ]
    assert await talk.say(credentials_message(task_arn="unknown")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": None},
        {"task_arn": ""},
        {"role_type": "Admin"},
        {"role_credentials": None},
        {"role_credentials": acs.IAMRoleCredentials()},
    ],
)
async def test_incomplete_credentials_are_dropped_in_silence(tmp_path: Path, changes: dict[str, Any]) -> None:
    talk = Talk(tmp_path, known("t1"))
    assert await talk.say(credentials_message(**changes)) == []
    assert talk.engine.credentials == []


@pytest.mark.parametrize(
    "kind",
    [
        acs.StageUpdateMessage,
        acs.PerformUpdateMessage,
        acs.AttachTaskNetworkInterfacesMessage,
        acs.AttachInstanceNetworkInterfacesMessage,
        acs.ConfirmAttachmentMessage,
    ],
)
async def test_what_this_agent_does_not_do_is_refused_with_a_reason(tmp_path: Path, kind: Any) -> None:
    (reply,) = await Talk(tmp_path).say(kind(message_id="x", **Addressed))
    assert isinstance(reply, acs.NackRequest)
    assert reply.message_id == "x"
    assert reply.reason


async def test_messages_that_need_no_answer_get_none(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    for message in (acs.ErrorMessage(message="x"), acs.CloseMessage(), UnknownMessage("FutureMessage")):
        assert await talk.say(message) == []


def test_the_inventory_lists_every_task_with_what_was_acknowledged_of_it() -> None:
    listed = inventory([known("a"), known("b", "STOPPED", "STOPPED", sent="RUNNING")]).tasks
    assert [(entry.task_arn, entry.known_status, entry.sent_status) for entry in listed] == [
        ("a", "RUNNING", "RUNNING"),
        ("b", "STOPPED", "RUNNING"),
    ]
    assert (listed[0].family, listed[0].version, listed[0].started_at) == ("web", "3", 1.5)


def test_a_connection_may_miss_three_heartbeats_or_a_minute_where_no_interval_is_announced() -> None:
    assert patience_s(3000) == 9.0
    assert patience_s(0) == patience_s(-1) == 60.0
