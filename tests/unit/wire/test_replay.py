"""A recording put to the gateway's rules: what a controller must send, must not, and when again."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.config import ControllerConfig
from controller.wire.records import UnreadableRecord, WireRecord, line_of
from controller.wire.replay import Judgement
from controller.wire.replay import replay as replayed
from tests.unit.wire.samples import TASK, record

ID = "a" * 32


def payload(number: int, status: str = "RUNNING", message_id: str = "p") -> WireRecord:
    return record(
        number,
        "controller",
        "PayloadMessage",
        messageId=message_id,
        tasks=[{"arn": TASK, "desiredStatus": status}],
    )


def ack(number: int, message_id: str = "p") -> WireRecord:
    return record(number, "agent", "AckRequest", messageId=message_id)


def report(number: int, status: str) -> WireRecord:
    return replace(
        record(number, "agent", "SubmitTaskStateChange", task=TASK, status=status), way="api", call="r"
    )


def inventory(number: int, *statuses: str) -> WireRecord:
    entry: dict[str, Any] = {"taskArn": TASK, "desiredStatus": "RUNNING", "family": "web", "version": "3"}
    tasks = [{**entry, "knownStatus": status, "sentStatus": status} for status in statuses]
    return record(number, "agent", "TaskInventoryMessage", tasks=tasks)


def manifest(number: int, *tasks: str) -> WireRecord:
    return record(
        number, "controller", "TaskManifestMessage", messageId="m", tasks=[{"taskArn": t} for t in tasks]
    )


def candidates(number: int) -> WireRecord:
    return record(
        number, "agent", "TaskStopVerificationMessage", messageId="m", stopCandidates=[{"taskArn": TASK}]
    )


def verdict(number: int, *tasks: str) -> WireRecord:
    return record(
        number,
        "controller",
        "TaskStopVerificationAck",
        messageId="m",
        stopTasks=[{"taskArn": t} for t in tasks],
    )


def later(each: WireRecord) -> WireRecord:
    """The same on the next connection."""
    return replace(each, connection=2)


def judged(*records: WireRecord) -> list[Judgement]:
    return list(replayed(map(line_of, records)))


def test_a_start_and_a_stop_follow_from_the_books() -> None:
    found = judged(payload(1), ack(2), report(3, "RUNNING"), payload(4, "STOPPED", "q"), ack(5, "q"))
    assert found == [Judgement(1, True), Judgement(4, True)]


@pytest.mark.parametrize("between", [(ack(2),), (ack(2), report(3, "RUNNING")), (report(3, "STOPPED"),)])
def test_a_task_that_was_sent_is_not_sent_again_in_another_payload(between: tuple[WireRecord, ...]) -> None:
    found = judged(payload(1), *between, payload(4, message_id="q"))
    assert found[-1] == Judgement(4, False, f"nothing is to be sent of {ID}")


def test_a_task_is_sent_on_the_next_connection_unless_it_was_reported() -> None:
    assert judged(payload(1), later(payload(2, message_id="q")))[-1].agrees
    assert not judged(payload(1), report(2, "RUNNING"), later(payload(3, message_id="q")))[-1].agrees
    assert not judged(payload(1), later(inventory(2, "NONE")), later(payload(3, message_id="q")))[-1].agrees


def test_a_stop_is_sent_on_every_connection_until_it_is_reported() -> None:
    stop, again = payload(2, "STOPPED", "q"), later(payload(4, "STOPPED", "r"))
    assert judged(payload(1), stop, ack(3, "q"), again)[-1].agrees
    assert not judged(payload(1), stop, report(3, "STOPPED"), again)[-1].agrees


def test_a_resend_comes_when_it_is_due_and_not_after_its_acknowledgement() -> None:
    due = round(4 * ControllerConfig.resend_after_s)
    assert judged(payload(0), payload(due))[-1].agrees
    assert judged(payload(0), payload(2))[-1] == Judgement(2, False, "no resend is due")
    assert judged(payload(0), ack(1), payload(due))[-1] == Judgement(due, False, "no resend is due")
    refused = record(1, "agent", "NackRequest", messageId="p")
    assert not judged(payload(0), refused, payload(due))[-1].agrees


def test_a_manifest_must_not_want_what_is_to_stop_or_is_gone() -> None:
    assert judged(payload(1), manifest(2, TASK))[-1].agrees
    wrong = Judgement(3, False, f"it wants what is decided to stop: {ID}")
    assert judged(payload(1), payload(2, "STOPPED", "q"), manifest(3, TASK))[-1] == wrong
    assert judged(inventory(1, "RUNNING"), later(inventory(2)), later(manifest(3, TASK)))[-1] == wrong


def test_what_is_decided_to_stop_must_be_in_the_verdict_and_what_is_not_known_to_be_may() -> None:
    running = (payload(1), report(2, "RUNNING"), manifest(3))
    assert judged(*running, candidates(4), verdict(5))[-1].agrees
    assert judged(*running, candidates(4), verdict(5, TASK))[-1].agrees
    stopping = (*running, payload(4, "STOPPED", "q"), candidates(5))
    assert judged(*stopping, verdict(6, TASK))[-1].agrees
    assert judged(*stopping, verdict(6))[-1] == Judgement(6, False, f"these must stop too: {ID}")


def test_instances_do_not_mix() -> None:
    assert all(each.agrees for each in judged(payload(1), replace(payload(2), instance="2" * 32)))


def test_what_cannot_be_read_and_other_messages_are_passed_over() -> None:
    broken = record(1, "controller", "PayloadMessage", messageId=7)
    telemetry = replace(record(2, "agent", "PublishMetricsRequest"), way="tcs")
    assert judged(broken, telemetry, record(3, "agent", "unreadable frame"), report(4, "strange")) == []


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(UnreadableRecord):
        list(replayed([b"{}"]))
