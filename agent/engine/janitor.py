"""Removes what stopped tasks left behind: after a while, and only once the controller knows that they
stopped.
"""

import structlog

from agent.engine.book import TaskBook, TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import EngineError
from agent.engine.states import Sent, Status
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)


class Janitor:
    """Knows when what is removed, and which ARNs have ended here."""

    def __init__(
        self, book: TaskBook, docker: Docker, clock: Clock, wait_s: float, ended: dict[str, float]
    ) -> None:
        """``wait_s`` is how long containers stay; ``ended`` maps the ARNs known to have ended to when they
        did.
        """
        self._book = book
        self._docker = docker
        self._clock = clock
        self._wait_s = wait_s
        self._ended = ended

    def has_ended(self, task_arn: str) -> bool:
        """Whether a task of this ARN has ended here before and was removed since."""
        return task_arn in self._ended

    def mind(self, record: TaskRecord) -> None:
        """Set when a stopped task is removed; a wall clock that jumped never hastens it."""
        if record.state.known is Status.STOPPED and record.removal_due is None:
            passed = max(0.0, self._clock.now() - (record.state.stopped_at or self._clock.now()))
            record.removal_due = self._clock.monotonic() + max(0.0, self._wait_s - passed)

    async def clean_up(self) -> None:
        """Remove every task whose time has come. What fails is tried again the next time."""
        for record in self._book:
            due = record.removal_due
            if due is not None and due <= self._clock.monotonic() and record.state.sent is Sent.STOPPED:
                await self._remove(record)

    async def _remove(self, record: TaskRecord) -> None:
        try:
            for container in record.plan.containers:
                await self._docker.remove(container.docker_name)
            for volume in record.plan.volumes:
                if volume.task_scoped:
                    await self._docker.remove_volume(volume.source)
        except EngineError as error:
            log.warning("task_removal_failed", task=record.plan.arn, reason=error.reason)
            return
        ended_at = record.state.stopped_at or self._clock.now()
        self._ended[record.plan.arn] = ended_at
        self._book.remove(record, ended_at)
        log.info("task_removed", task=record.plan.arn)
