"""Records as a sequence: which message answers which, after how long, and what matters of each. Pure."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from agent.protocol.arn import last_segment
from controller.wire.records import WireRecord

REMEMBERED = 2000
"""Messages that are remembered for their answers; the oldest are forgotten first."""

UNNAMED_REMEMBERED = 16
"""The same of each kind on a connection of TCS, where answers name nothing."""

HEARTBEATS = frozenset({"HeartbeatMessage", "HeartbeatAckRequest"})

_ANSWERED_BY = {
    "HeartbeatAckRequest": ("HeartbeatMessage",),
    "AckRequest": ("PayloadMessage", "TaskManifestMessage"),
    "NackRequest": (
        "PayloadMessage",
        "AttachTaskNetworkInterfacesMessage",
        "AttachInstanceNetworkInterfacesMessage",
        "ConfirmAttachmentMessage",
        "StageUpdateMessage",
        "PerformUpdateMessage",
    ),
    "IAMRoleCredentialsAckRequest": ("IAMRoleCredentialsMessage", "PayloadMessage"),
    "TaskStopVerificationMessage": ("TaskManifestMessage",),
    "TaskStopVerificationAck": ("TaskStopVerificationMessage",),
    "TaskSecretsAnswer": ("TaskSecretsRequest",),
    "AckPublishMetric": ("PublishMetricsRequest",),
    "AckPublishHealth": ("PublishHealthRequest",),
    "AckPublishInstanceStatus": ("PublishInstanceStatusRequest",),
}
"""What each answer may be the answer to. They name it by `messageId` or `requestId`; those of TCS name
nothing and come in order."""

_SHOWN = (
    "messageId",
    "requestId",
    "desiredStatus",
    "status",
    "reason",
    "error",
    "expect",
    "epoch",
    "heartbeatIntervalMs",
    "roleType",
    "resolvesSecrets",
    "endpoint",
    "message",
)
"""Members that are shown as they are, where a message has them."""

_TASK_LISTS = ("tasks", "taskMetrics", "stopCandidates", "stopTasks")


class Step(msgspec.Struct, frozen=True):
    """A record in its place in the sequence."""

    record: WireRecord
    answers: WireRecord | None = None
    after_s: float | None = None
    """How long after what it answers it came."""


class Sequence:
    """Puts records, one after the other, into relation."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, ...], deque[WireRecord]] = OrderedDict()

    def step(self, record: WireRecord) -> Step:
        """The next record as a step. Records must come in order."""
        answered = self._answered(record)
        if _takes_an_answer(record):
            waiting = self._waiting.setdefault(
                _key(record, record.type), deque(maxlen=UNNAMED_REMEMBERED if record.way == "tcs" else 1)
            )
            waiting.append(record)
        if len(self._waiting) > REMEMBERED:
            self._waiting.popitem(last=False)
        if answered is None:
            return Step(record)
        return Step(record, answered, max(0.0, record.at - answered.at))

    def _answered(self, record: WireRecord) -> WireRecord | None:
        if record.way == "api":
            kinds: tuple[str, ...] = ("",) if record.sender == "controller" else ()
        else:
            kinds = _ANSWERED_BY.get(record.type, ())
        for kind in kinds:
            waiting = self._waiting.get(_key(record, kind))
            if waiting:
                # What is named may be answered more than once: a manifest by its acknowledgement and by stop
                # candidates, a payload for each set of credentials in it.
                return waiting.popleft() if record.way == "tcs" else waiting[-1]
        return None


def _takes_an_answer(record: WireRecord) -> bool:
    if record.way == "api":
        return record.sender == "agent"
    if record.way == "tcs" and record.type in HEARTBEATS:
        return False
    return any(record.type in kinds for kinds in _ANSWERED_BY.values())


def _key(record: WireRecord, kind: str) -> tuple[str, ...]:
    """Under what a message of that kind, and whatever answers it, find each other."""
    if record.way == "api":
        return ("api", record.call)
    members = _mapping(record.message)
    named = members.get("messageId") or members.get("requestId") or ""
    return (str(record.connection), kind, "" if record.way == "tcs" else str(named))


def tasks_of(record: WireRecord) -> frozenset[str]:
    """Ids of the tasks that a record names."""
    members = _mapping(record.message)
    named = [members.get("taskArn"), members.get("task")]
    for entry in _task_entries(members):
        named += [entry.get("arn"), entry.get("taskArn")]
    return frozenset(last_segment(arn) for arn in named if isinstance(arn, str) and arn)


def line(step: Step) -> str:
    """A step as people read it: when, of which instance, who to whom, what, and what it answers."""
    record = step.record
    clock = time.strftime("%H:%M:%S", time.localtime(record.at)) + f".{int(record.at * 1000) % 1000:03d}"
    arrow = "controller → agent" if record.sender == "controller" else "agent → controller"
    parts = [
        clock,
        record.instance[:12],
        record.way,
        arrow,
        f"#{record.number}",
        record.type,
        *_fields(record),
    ]
    if step.answers is not None and step.after_s is not None:
        parts.append(f"answers #{step.answers.number} {step.answers.type} after {_duration(step.after_s)}")
    return "  ".join(parts)


def _fields(record: WireRecord) -> Iterator[str]:
    """What matters of a message."""
    members = _mapping(record.message)
    for name in _SHOWN:
        value = members.get(name)
        if isinstance(value, str | int | float) and value != "":
            yield f"{name}={value}"
    task = members.get("taskArn") or members.get("task")
    if isinstance(task, str):
        yield f"task={last_segment(task)}"
    for name in _TASK_LISTS:
        if name in members:
            yield f"{name}=[{', '.join(_task(entry) for entry in _entries(members[name]))}]"
    containers = [_mapping(each) for each in _entries(members.get("containers"))]
    if containers and record.way == "api":
        yield f"containers=[{', '.join(_container(each) for each in containers)}]"


def _task(entry: Mapping[str, Any]) -> str:
    words = [last_segment(str(entry.get("arn") or entry.get("taskArn") or "?"))]
    words += [str(entry[name]) for name in ("desiredStatus", "knownStatus") if entry.get(name)]
    health = [str(_mapping(each).get("healthStatus") or "") for each in _entries(entry.get("containers"))]
    return " ".join([*words, *(word for word in health if word)])


def _container(entry: Mapping[str, Any]) -> str:
    words = [str(entry.get("containerName") or entry.get("name") or "?"), str(entry.get("status") or "")]
    if entry.get("exitCode") is not None:
        words.append(f"exit {entry['exitCode']}")
    return " ".join(word for word in words if word)


def _task_entries(members: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _TASK_LISTS:
        yield from _entries(members.get(name))


def _entries(value: Any) -> list[Mapping[str, Any]]:
    return [_mapping(each) for each in value] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
