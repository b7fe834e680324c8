"""Containers of this agent that its checkpoint does not know: a lost file, or a crash, left them behind.

Every start looks for them by their label, so that none runs on unwatched.
"""

import structlog

from agent.checkpoint import Checkpoint
from agent.engine.adoption import adopt
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.container_body import TASK_ARN_LABEL
from agent.engine.intake import on_disk
from agent.engine.janitor import Janitor
from agent.engine.observer import Observer
from agent.engine.states import StopRequested
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_LOST_WHILE_STARTING = (
    "TaskStateError: this agent lost its records of the task while it was being started, "
    "and does not know what was still to be done"
)


class Adopter:
    """Makes tasks of them again."""

    def __init__(
        self,
        book: TaskBook,
        checkpoint: Checkpoint,
        observer: Observer,
        janitor: Janitor,
        clock: Clock,
        stop_timeout_s: float,
    ) -> None:
        self._book = book
        self._checkpoint = checkpoint
        self._observer = observer
        self._janitor = janitor
        self._clock = clock
        self._stop_timeout_s = stop_timeout_s
        self._to_be_stopped: list[tuple[TaskRecord, str]] = []

    async def adopt(self) -> None:
        """Take in every task that only its containers tell of; durable when it returns.

        Raises ``EngineError`` and ``CheckpointError``.
        """
        found = await self._observer.find_unknown()
        unfinished = {each.labels.get(TASK_ARN_LABEL) for each in found if each.state == "CREATED"}
        written = set()
        for stored in adopt(found, self._stop_timeout_s):
            arn = stored.plan.arn
            if self._book.get(arn) is not None:
                names = [container.docker_name for container in stored.plan.containers]
                log.error(
                    "containers_beside_their_task", task=arn, containers=names, next="remove them by hand"
                )
                continue
            record = TaskRecord(stored.definition, stored.plan, stored.state)
            self._book.add(record)
            reason = _LOST_WHILE_STARTING if arn in unfinished else ""
            written.add(self._book.write(record))
            if reason or self._janitor.has_ended(arn):
                self._to_be_stopped.append((record, reason))
            log.warning("task_adopted", task=arn, containers=len(stored.plan.containers))
        await on_disk(written)
        if self._checkpoint.to_be_rebuilt():
            self._checkpoint.mark_rebuilt()

    def settle(self) -> None:
        """Stop those that were just being started, or that ended here before; how they are has been looked
        at.
        """
        for record, reason in self._to_be_stopped:
            self._book.apply(record, StopRequested(at=self._clock.now(), reason=reason))
        self._to_be_stopped = []
