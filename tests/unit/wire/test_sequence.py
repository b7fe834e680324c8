"""Which message answers which, and what people read of each."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.wire.records import UnreadableRecord, WireRecord, line_of, record_of
from controller.wire.sequence import REMEMBERED, UNNAMED_REMEMBERED, Sequence, line, tasks_of
from tests.unit.wire.samples import TASK, record

PAYLOAD = record(
    1, "controller", "PayloadMessage", messageId="p1", tasks=[{"arn": TASK, "desiredStatus": "RUNNING"}]
)


def answered(*records: WireRecord) -> list[int | None]:
    """The number of what each record answers."""
    sequence = Sequence()
    steps = [sequence.step(each) for each in records]
    return [None if step.answers is None else step.answers.number for step in steps]


def test_an_acknowledgement_answers_the_message_of_its_id_on_its_connection() -> None:
    ack = record(3, "agent", "AckRequest", messageId="p1")
    assert answered(PAYLOAD, record(2, "controller", "PayloadMessage", messageId="p2"), ack) == [
        None,
        None,
        1,
    ]
    assert answered(PAYLOAD, replace(ack, connection=2)) == [None, None]


def test_an_acknowledgement_answers_the_last_of_several_sendings() -> None:
    again = replace(PAYLOAD, number=2)
    assert answered(PAYLOAD, again, record(3, "agent", "AckRequest", messageId="p1")) == [None, None, 2]


def test_a_manifest_is_answered_by_its_acknowledgement_and_by_candidates_which_are_answered_too() -> None:
    assert answered(
        record(1, "controller", "TaskManifestMessage", messageId="m"),
        record(2, "agent", "AckRequest", messageId="m"),
        record(3, "agent", "TaskStopVerificationMessage", messageId="m"),
        record(4, "controller", "TaskStopVerificationAck", messageId="m"),
    ) == [None, 1, 1, 3]


def test_each_acknowledgement_of_credentials_answers_what_brought_them() -> None:
    acks = [record(number, "agent", "IAMRoleCredentialsAckRequest", messageId="p1") for number in (3, 4)]
    assert answered(PAYLOAD, record(2, "agent", "AckRequest", messageId="p1"), *acks) == [None, 1, 1, 1]


def test_acknowledgements_of_telemetry_come_in_order() -> None:
    published = [replace(record(n, "agent", "PublishMetricsRequest"), way="tcs") for n in (1, 2)]
    acks = [replace(record(n, "controller", "AckPublishMetric"), way="tcs") for n in (3, 4, 5)]
    assert answered(*published, *acks) == [None, None, 1, 2, None]


def test_an_answer_of_the_api_answers_its_call() -> None:
    call = replace(record(1, "agent", "SubmitTaskStateChange", task=TASK), way="api", call="r1")
    other = replace(call, number=2, call="r2")
    answer = replace(record(3, "controller", "ServerException"), way="api", call="r1")
    assert answered(call, other, answer) == [None, None, 1]


def test_what_is_never_answered_is_forgotten() -> None:
    sequence = Sequence()
    for number in range(2 * REMEMBERED):
        sequence.step(record(number, "controller", "PayloadMessage", messageId=f"p{number}"))
        sequence.step(replace(record(number, "agent", "PublishMetricsRequest"), way="tcs"))
    assert sequence.step(record(0, "agent", "AckRequest", messageId="p0")).answers is None
    oldest = sequence.step(replace(record(0, "controller", "AckPublishMetric"), way="tcs")).answers
    assert oldest is not None
    assert oldest.number == 2 * REMEMBERED - UNNAMED_REMEMBERED


def test_tasks_are_found_wherever_messages_name_them() -> None:
    assert tasks_of(PAYLOAD) == {"a" * 32}
    assert tasks_of(record(1, "agent", "TaskInventoryMessage", tasks=[{"taskArn": TASK}])) == {"a" * 32}
    assert tasks_of(record(1, "agent", "TaskSecretsRequest", taskArn=TASK)) == {"a" * 32}
    assert tasks_of(record(1, "agent", "SubmitTaskStateChange", task=TASK)) == {"a" * 32}
    assert tasks_of(record(1, "controller", "HelloMessage", epoch=1)) == frozenset()


def test_a_line_says_who_to_whom_what_matters_and_what_it_answers() -> None:
    sequence = Sequence()
    shown = line(sequence.step(PAYLOAD))
    assert "111111111111  acs  controller → agent  #1  PayloadMessage  messageId=p1" in shown
    assert f"tasks=[{'a' * 32} RUNNING]" in shown
    ack = line(sequence.step(record(2, "agent", "AckRequest", messageId="p1")))
    assert "agent → controller  #2  AckRequest" in ack
    assert ack.endswith("answers #1 PayloadMessage after 250.0 ms")


def test_a_report_shows_its_containers_and_their_exit_codes() -> None:
    containers = [{"containerName": "app", "status": "STOPPED", "exitCode": 0}]
    report = record(1, "agent", "SubmitTaskStateChange", task=TASK, status="STOPPED", containers=containers)
    shown = line(Sequence().step(replace(report, way="api", call="r1")))
    assert f"status=STOPPED  task={'a' * 32}  containers=[app STOPPED exit 0]" in shown


@pytest.mark.parametrize("message", [None, [], "text", {"tasks": 1, "containers": [2], "messageId": []}])
def test_a_message_of_no_known_form_is_shown_without_members(message: object) -> None:
    strange = replace(record(1, "agent", "AckRequest"), message=message)
    assert line(Sequence().step(strange)).endswith(("AckRequest", "tasks=[]"))


def test_a_record_is_the_same_after_it_was_a_line() -> None:
    assert record_of(line_of(PAYLOAD)) == PAYLOAD


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"number": "one"}'])
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        record_of(text)
