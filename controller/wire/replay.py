"""What this controller would have sent: a recording of `homeport wire` put to the gateway's rules.

`python -m controller.wire.replay FILE` writes a JSON line for each payload, manifest and verdict about stops
in the recording: `number` of its record, `agrees`, and `says`, what speaks against it. There is neither a
network nor a store: the books are what the recording tells. A decision to stop shows only in what is sent, so
it is taken from there. Judged is what must follow from the books: that no task is run twice, that no manifest
wants what must stop, that nothing stays running that is decided to stop, and that resends come when they are
due.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from agent.protocol import acs
from agent.protocol.arn import last_segment
from agent.protocol.envelope import MalformedFrame, decode_acs
from agent.protocol.extensions import TaskInventoryMessage
from controller.config import ControllerConfig
from controller.gateway.delivery import Deliveries, is_stop_decided, wanted_status
from controller.gateway.fullsync import (
    AGENT_STATUSES,
    RunningTask,
    believed_present,
    judge,
    manifest_tasks,
    reconcile,
)
from controller.state.entities import ContainerInstance, DesiredStatus, Task
from controller.state.lifecycle import TaskReport, apply_report, decide_stop
from controller.state.names import Names
from controller.state.store.interface import Meta
from controller.wire.records import WireRecord, record_of

REPORTS = frozenset({"SubmitTaskStateChange"})
DUE_TOLERANCE_S = 1.0
"""A resend is noted when it is handed to the connection; a busy controller is late, and never early."""


class Judgement(msgspec.Struct, frozen=True):
    """Whether a recorded message of the controller follows from the rules."""

    number: int
    agrees: bool
    says: str = ""
    """What speaks against it; empty if it agrees."""


class ReplayedInstance:
    """The books of one container instance, as far as the recording tells."""

    def __init__(self, cluster: str, instance: str) -> None:
        self._instance = ContainerInstance(
            cluster=cluster, id=instance, ec2_instance_id="", cpu=0, memory=0, registered_at=0.0
        )
        self._meta = Meta(
            schema_version=1, store_uuid="", epoch=1, restore_epoch=0, seq=0, account="", region=""
        )
        self._names = Names(account="", region="")
        self._tasks: dict[str, Task] = {}
        self._connection = -1
        self._deliveries = Deliveries(ControllerConfig.resend_after_s)
        self._sent: set[str] = set()
        self._stop: frozenset[str] = frozenset()

    def pass_on(self, record: WireRecord) -> Judgement | None:
        """The next message; a judgement if it is one of the controller's that the rules decide."""
        if record.type in REPORTS and record.sender == "agent":
            self._report(record)
        if record.way != "acs":
            return None
        if record.connection != self._connection:
            self._connection = record.connection
            self._deliveries = Deliveries(ControllerConfig.resend_after_s)
            self._sent = set()
        against = self._judge(_message(record), record.at)
        return None if against is None else Judgement(record.number, not against, against)

    def _judge(self, message: msgspec.Struct, at: float) -> str | None:
        """What speaks against a message, empty if nothing does; None where there is nothing to judge."""
        match message:
            case acs.PayloadMessage(message_id=str(message_id)):
                return self._payload(message_id, message.tasks, at)
            case acs.TaskManifestMessage():
                return self._manifest(message)
            case acs.TaskStopVerificationAck():
                return self._verdict(message, at)
            case acs.AckRequest(message_id=str(message_id)):
                self._deliveries.acknowledged(message_id)
            case acs.NackRequest(message_id=str(message_id)):
                self._deliveries.refused(message_id)
            case TaskInventoryMessage():
                self._inventory(message, at)
            case acs.TaskStopVerificationMessage():
                self._candidates(message)
        return None

    def _payload(self, message_id: str, tasks: Iterable[acs.Task], at: float) -> str:
        for told in tasks:
            self._learn(told.arn, told.family, told.version, at)
            if told.desired_status == "STOPPED":
                self._decide(told.arn, at)
        asked: dict[str, DesiredStatus] = {
            last_segment(told.arn or ""): "STOPPED" if told.desired_status == "STOPPED" else "RUNNING"
            for told in tasks
        }
        if message_id in self._sent:
            due = [each for each, _ in self._deliveries.due(at + DUE_TOLERANCE_S, self._still_needed)]
            return "" if message_id in due else "no resend is due"
        self._sent.add(message_id)
        plan = self._deliveries.plan(tuple(self._tasks.values()), self._meta, starts=True)
        planned = {(task.id, status) for batch in plan.batches() for task, status in batch}
        self._deliveries.sent(message_id, [(self._tasks[task], status) for task, status in asked.items()], at)
        unplanned = sorted(task for task, status in asked.items() if (task, status) not in planned)
        return f"nothing is to be sent of {', '.join(unplanned)}" if unplanned else ""

    def _manifest(self, manifest: acs.TaskManifestMessage) -> str:
        for told in manifest.tasks:
            self._learn(told.task_arn, None, None, 0.0)
        wanted = {
            last_segment(each.task_arn or "") for each in manifest_tasks(self._tasks.values(), self._names)
        }
        listed = {last_segment(each.task_arn or "") for each in manifest.tasks}
        ended = sorted(listed - wanted)
        return f"it wants what is decided to stop: {', '.join(ended)}" if ended else ""

    def _candidates(self, message: acs.TaskStopVerificationMessage) -> None:
        running = (RunningTask(self._arn(each.task_arn)) for each in message.stop_candidates)
        verdict = judge(running, self._instance, self._names, self._tasks.get)
        self._stop = frozenset(task.id for task in verdict.stop)

    def _verdict(self, answer: acs.TaskStopVerificationAck, at: float) -> str:
        stopped = {last_segment(each.task_arn or "") for each in answer.stop_tasks}
        for task in stopped:
            self._learn(task, None, None, at)
            self._decide(task, at)
        missing = sorted(self._stop - stopped)
        return f"these must stop too: {', '.join(missing)}" if missing else ""

    def _inventory(self, message: TaskInventoryMessage, at: float) -> None:
        for entry in message.tasks:
            self._learn(entry.task_arn, entry.family, entry.version, at)
            status = AGENT_STATUSES.get(entry.sent_status, "PENDING")
            self._book(last_segment(entry.task_arn), TaskReport(status=status), at)
        found = reconcile(
            [msgspec.structs.replace(each, task_arn=self._arn(each.task_arn)) for each in message.tasks],
            self._instance,
            {task.key: task for task in self._tasks.values()},
            believed_present(self._tasks.values(), frozenset()),
            self._tasks.get,
            self._names,
            self._meta,
        )
        for task in found.present:
            if not is_stop_decided(task):
                self._deliveries.confirm(task.id, "RUNNING")
        for task in found.absent:
            self._book(task.id, TaskReport(status="STOPPED"), at)

    def _report(self, record: WireRecord) -> None:
        status = AGENT_STATUSES.get(str(record.message.get("status")))
        if status is not None:
            self._book(last_segment(str(record.message.get("task"))), TaskReport(status=status), record.at)

    def _book(self, task_id: str, report: TaskReport, at: float) -> None:
        task = self._tasks.get(task_id)
        if task is not None:
            self._tasks[task_id] = apply_report(task, report, at)

    def _learn(self, arn: str | None, family: str | None, version: str | None, at: float) -> None:
        """Note a task of which the recording tells the first time."""
        task_id = last_segment(arn or "")
        if task_id not in self._tasks:
            self._tasks[task_id] = Task(
                cluster=self._instance.cluster,
                id=task_id,
                family=family or "",
                revision=int(version) if version and version.isdigit() else 0,
                instance=self._instance.id,
                created_at=at,
                created_epoch=1,
            )

    def _decide(self, arn: str | None, at: float) -> None:
        task_id = last_segment(arn or "")
        self._tasks[task_id] = decide_stop(self._tasks[task_id], "UserInitiated", "recorded", at)

    def _still_needed(self, task_id: str, status: DesiredStatus) -> Task | None:
        task = self._tasks.get(task_id)
        return task if task is not None and wanted_status(task, self._meta) == status else None

    def _arn(self, arn: str | None) -> str:
        """The ARN by which the rules know a task, whatever account and region the recorded one is of."""
        return self._names.task_id(self._instance.cluster, last_segment(arn or ""))


def _message(record: WireRecord) -> msgspec.Struct:
    try:
        return decode_acs(msgspec.json.encode({"type": record.type, "message": record.message}))
    except MalformedFrame:
        # As a session does: what cannot be read is passed over.
        return acs.ErrorMessage()


def replay(lines: Iterable[bytes | str]) -> Iterator[Judgement]:
    """Judge what a recorded controller has sent.

    Raises:
        UnreadableRecord: a line is no record.
    """
    instances: dict[tuple[str, str], ReplayedInstance] = {}
    for line in lines:
        record = record_of(line)
        key = (record.cluster, record.instance)
        if key not in instances:
            instances[key] = ReplayedInstance(*key)
        judgement = instances[key].pass_on(record)
        if judgement is not None:
            yield judgement


def _main(path: Path) -> None:
    with path.open("rb") as file:
        for judgement in replay(file):
            sys.stdout.write(msgspec.json.encode(judgement).decode() + "\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
