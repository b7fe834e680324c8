"""What this agent would have answered: a recording of ``homeport wire`` put to the conversation's rules.

``python -m agent.session.replay FILE`` reads the recording of whatever kind of agent, and writes a JSON line
for each answer in it: ``number`` of its record, ``agrees``, and ``says``, what this agent would have said
instead. There is neither a network nor an engine: the tasks of each container instance are those that the
recording tells of.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from agent.engine.changes import KnownTask, RejectedTask
from agent.identity import IdentityFile
from agent.protocol import acs
from agent.protocol.envelope import MalformedFrame, decode_acs
from agent.protocol.extensions import TaskInventoryMessage
from agent.session.acs_conversation import Conversation, ManifestMark
from agent.session.websocket import ConnectionEnded

REPORT = "SubmitTaskStateChange"
_ANSWERS = (
    acs.AckRequest,
    acs.NackRequest,
    acs.HeartbeatAckRequest,
    acs.IAMRoleCredentialsAckRequest,
    acs.TaskStopVerificationMessage,
)
NOTHING = "no such answer is due"


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """What counts here of a line of a recording."""

    number: int
    way: str
    connection: int
    instance: str
    sender: str
    type: str
    message: Any


class Judgement(msgspec.Struct, frozen=True):
    """Whether this agent would have given a recorded answer."""

    number: int
    agrees: bool
    says: str = ""
    """What it would have said; empty if it agrees."""


class RecordedEngine:
    """The tasks of a container instance as the recording tells of them."""

    def __init__(self) -> None:
        self._tasks: dict[str, KnownTask] = {}

    def tell(self, tasks: Iterable[KnownTask]) -> None:
        """These are all of its tasks."""
        self._tasks = {task.task_arn: task for task in tasks}

    def report(self, task_arn: str, status: str) -> None:
        """A task has come so far, and the controller knows it."""
        task = self._tasks.get(task_arn)
        if task is not None and status in ("RUNNING", "STOPPED"):
            desired = "STOPPED" if status == "STOPPED" else task.desired_status
            self._tasks[task_arn] = replace(
                task, desired_status=desired, known_status=status, sent_status=status
            )

    async def accept(self, tasks: Sequence[acs.Task]) -> tuple[RejectedTask, ...]:
        for task in tasks:
            arn, desired = task.arn or "", task.desired_status or ""
            known = self._tasks.get(arn)
            if known is None:
                family, version = task.family or "", task.version or ""
                self._tasks[arn] = KnownTask(arn, family, version, desired, "NONE", "NONE", None)
            elif desired == "STOPPED":
                self._tasks[arn] = replace(known, desired_status=desired)
        return ()

    async def stop_tasks(self, task_arns: Iterable[str]) -> None:
        for arn in task_arns:
            self._tasks[arn] = replace(self._tasks[arn], desired_status="STOPPED")

    def known_tasks(self) -> tuple[KnownTask, ...]:
        return tuple(self._tasks.values())

    def set_credentials(self, message: acs.IAMRoleCredentialsMessage) -> bool:
        return message.task_arn in self._tasks


class ReplayedInstance:
    """One container instance: what its controller says is answered by our rules, and compared."""

    def __init__(self, identity: IdentityFile) -> None:
        self._identity = identity
        self._mark = ManifestMark(identity.current.manifest_mark)
        self._engine = RecordedEngine()
        self._connection = -1
        self._conversation = Conversation(identity, self._mark, self._engine)
        self._ours: list[msgspec.Struct] = []
        """What this agent has said on this connection, and the recorded one has not yet."""

    async def pass_on(self, passed: Passed) -> Judgement | None:
        """The next message; a judgement if it is an answer of the recorded agent."""
        if passed.type == REPORT and passed.sender == "agent":
            self._engine.report(str(passed.message.get("task")), str(passed.message.get("status")))
        if passed.way != "acs":
            return None
        if passed.connection != self._connection:
            self._connection = passed.connection
            self._conversation = Conversation(self._identity, self._mark, self._engine)
            self._ours = []
        message = _message(passed)
        if passed.sender == "controller":
            self._ours += await self._answers(message)
            return None
        if isinstance(message, TaskInventoryMessage):
            self._engine.tell(KnownTask(**msgspec.structs.asdict(entry)) for entry in message.tasks)
        return self._judge(passed.number, message) if isinstance(message, _ANSWERS) else None

    async def _answers(self, message: msgspec.Struct) -> Sequence[msgspec.Struct]:
        if isinstance(message, acs.HeartbeatMessage):
            return (acs.HeartbeatAckRequest(message_id=message.message_id),)
        try:
            return await self._conversation.answer(message)
        except ConnectionEnded:
            return ()

    def _judge(self, number: int, answer: msgspec.Struct) -> Judgement:
        for ours in self._ours:
            if _essence(ours) == _essence(answer):
                self._ours.remove(ours)
                return Judgement(number, agrees=True)
        same = [ours for ours in self._ours if type(ours) is type(answer)]
        return Judgement(number, agrees=False, says=_in_words(same[0]) if same else NOTHING)


def _essence(answer: msgspec.Struct) -> tuple[Any, ...]:
    """What two answers must have in common to be the same: wording, and spelling of ARNs, are free."""
    candidates = getattr(answer, "stop_candidates", ())
    return (
        type(answer).__name__,
        getattr(answer, "message_id", None),
        getattr(answer, "credentials_id", None),
        *sorted(str(each.task_arn) for each in candidates),
    )


def _in_words(answer: msgspec.Struct) -> str:
    return " ".join(str(part) for part in _essence(answer) if part)


def _message(passed: Passed) -> msgspec.Struct:
    try:
        return decode_acs(msgspec.json.encode({"type": passed.type, "message": passed.message}))
    except MalformedFrame:
        # As a session does: what cannot be read is passed over.
        return acs.ErrorMessage()


async def replay(lines: Iterable[bytes | str], folder: Path) -> AsyncIterator[Judgement]:
    """Judge every answer in a recording. ``folder`` is an empty one, for the identities.

    Raises ``msgspec.DecodeError`` for a line that is no record.
    """
    instances: dict[str, ReplayedInstance] = {}
    decoder = msgspec.json.Decoder(Passed)
    for line in lines:
        passed = decoder.decode(line)
        if passed.instance not in instances:
            home = folder / str(len(instances))
            home.mkdir(parents=True)
            instances[passed.instance] = ReplayedInstance(IdentityFile.load(home, "replayed", "replayed"))
        judgement = await instances[passed.instance].pass_on(passed)
        if judgement is not None:
            yield judgement


async def _main(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, path.open("rb") as file:
        async for judgement in replay(file, Path(folder)):
            sys.stdout.write(msgspec.json.encode(judgement).decode() + "\n")


if __name__ == "__main__":
    # The conversation's log is of what happens, and nothing does.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_main(Path(sys.argv[1])))
