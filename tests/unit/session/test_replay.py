"""A recording put to the agent's rules: where it would have answered the same, and where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.session.replay import NOTHING, Judgement, replay
from tests.unit.session.fakes import CLUSTER_ARN, INSTANCE_ARN

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "a" * 32
ADDRESSED = {"clusterArn": CLUSTER_ARN, "containerInstanceArn": INSTANCE_ARN}
HELLO = ("controller", "HelloMessage", {"storeUuid": "s", "epoch": 1, "heartbeatIntervalMs": 3000})
PAYLOAD = (
    "controller",
    "PayloadMessage",
    {"messageId": "p", "seqNum": 1, "tasks": [{"arn": TASK, "desiredStatus": "RUNNING"}], **ADDRESSED},
)
STOP = (
    "controller",
    "PayloadMessage",
    {"messageId": "p", "seqNum": 2, "tasks": [{"arn": TASK, "desiredStatus": "STOPPED"}], **ADDRESSED},
)
MANIFEST = ("controller", "TaskManifestMessage", {"messageId": "m", "timeline": 3, "tasks": [], **ADDRESSED})
CANDIDATE = (
    "agent",
    "TaskStopVerificationMessage",
    {"messageId": "m", "stopCandidates": [{"taskArn": TASK}]},
)
VERDICT = ("controller", "TaskStopVerificationAck", {"messageId": "m", "stopTasks": [{"taskArn": TASK}]})
INVENTORY = (
    "agent",
    "TaskInventoryMessage",
    {
        "tasks": [
            {
                "taskArn": TASK,
                "desiredStatus": "RUNNING",
                "knownStatus": "RUNNING",
                "sentStatus": "RUNNING",
                "family": "web",
                "version": "3",
            }
        ]
    },
)


def ack(message_id: str) -> tuple[str, str, dict[str, Any]]:
    return ("agent", "AckRequest", {"messageId": message_id})


def report(status: str) -> tuple[str, str, dict[str, Any]]:
    return ("agent", "SubmitTaskStateChange", {"task": TASK, "status": status})


async def judged(
    folder: Path, *messages: tuple[str, str, dict[str, Any]], connection: int = 1
) -> list[Judgement]:
    """What the rules say to messages, which are numbered from 1."""
    lines = [
        msgspec.json.encode(
            {
                "number": number,
                "way": "api" if kind.startswith("Submit") else "acs",
                "connection": connection,
                "instance": "i",
                "sender": sender,
                "type": kind,
                "message": members,
            }
        )
        for number, (sender, kind, members) in enumerate(messages, start=1)
    ]
    return [each async for each in replay(lines, folder)]


async def test_acknowledgements_and_heartbeats_are_as_ours(tmp_path: Path) -> None:
    beat = ("controller", "HeartbeatMessage", {"messageId": "h"})
    answer = ("agent", "HeartbeatAckRequest", {"messageId": "h"})
    assert await judged(tmp_path, HELLO, beat, answer, PAYLOAD, ack("p")) == [
        Judgement(3, True),
        Judgement(5, True),
    ]


async def test_an_answer_to_nothing_is_none_of_ours(tmp_path: Path) -> None:
    assert await judged(tmp_path, PAYLOAD, ack("other")) == [Judgement(2, False, "AckRequest p")]


async def test_each_answer_counts_once(tmp_path: Path) -> None:
    assert await judged(tmp_path, PAYLOAD, ack("p"), ack("p")) == [
        Judgement(2, True),
        Judgement(3, False, NOTHING),
    ]


async def test_what_a_manifest_does_not_name_is_asked_about_by_ours_too(tmp_path: Path) -> None:
    found = await judged(tmp_path, HELLO, INVENTORY, MANIFEST, ack("m"), CANDIDATE, VERDICT)
    assert found == [Judgement(4, True), Judgement(5, True)]


@pytest.mark.parametrize("end", [report("STOPPED"), STOP])
async def test_what_has_ended_or_is_to_end_is_no_candidate_of_ours(
    tmp_path: Path, end: tuple[str, str, dict[str, Any]]
) -> None:
    found = await judged(tmp_path, INVENTORY, report("RUNNING"), end, MANIFEST, CANDIDATE)
    assert found[-1] == Judgement(5, False, NOTHING)


async def test_verified_stops_are_no_candidates_of_a_later_manifest(tmp_path: Path) -> None:
    later = ("controller", "TaskManifestMessage", {**MANIFEST[2], "messageId": "n", "timeline": 4})
    again = ("agent", "TaskStopVerificationMessage", {**CANDIDATE[2], "messageId": "n"})
    found = await judged(tmp_path, INVENTORY, MANIFEST, CANDIDATE, VERDICT, later, again)
    assert found == [Judgement(3, True), Judgement(6, False, NOTHING)]


async def test_a_stale_manifest_and_an_older_epoch_are_not_answered_by_ours(tmp_path: Path) -> None:
    older = ("controller", "HelloMessage", {**HELLO[2], "epoch": 0})
    found = await judged(tmp_path, HELLO, MANIFEST, ack("m"), MANIFEST, ack("m"), older)
    assert found == [Judgement(3, True), Judgement(5, False, NOTHING)]


async def test_credentials_of_a_known_task_are_acknowledged(tmp_path: Path) -> None:
    message: dict[str, Any] = {"messageId": "c", "taskArn": TASK, "roleType": "TaskApplication"}
    message["roleCredentials"] = {"credentialsId": "id", "expiration": "e", "secretAccessKey": "***"}
    answer = (
        "agent",
        "IAMRoleCredentialsAckRequest",
        {"messageId": "c", "credentialsId": "id", "expiration": "e"},
    )
    found = await judged(tmp_path, PAYLOAD, ("controller", "IAMRoleCredentialsMessage", message), answer)
    assert found == [Judgement(3, True)]


async def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    broken = ("controller", "PayloadMessage", {"messageId": 7})
    unknown: tuple[str, str, dict[str, Any]] = ("agent", "unreadable frame", {})
    assert await judged(tmp_path, broken, unknown, PAYLOAD, ack("p")) == [Judgement(4, True)]


async def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(msgspec.DecodeError):
        _ = [each async for each in replay([b"{}"], tmp_path)]
