"""Removes what stopped tasks left behind: after a while, when there are too many of them or a disk fills up,
and only once the controller knows that they stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from agent.crash_points import CrashPoint, reach
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import EngineError
from agent.engine.states import Sent, Status
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

TOMBSTONES_KEPT_S = 7 * 24 * 3600.0
"""How long the ARN of an ended task is remembered, so that a late payload never starts it again."""


class Janitor:
    """Knows when what is removed, and which ARNs have ended here."""

    def __init__(
        self,
        book: TaskBook,
        docker: Docker,
        remove_resources: Callable[[str], Awaitable[None]],
        clock: Clock,
        wait_s: float,
        most: int,
        ended: Mapping[str, float],
        longer_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``remove_resources`` takes a task's ARN and raises ``EngineError``. ``wait_s`` is how long
        containers stay, ``most`` of how many stopped tasks; ``ended`` maps ARNs to when they ended, the
        oldest first. ``longer_s`` draws how much longer those of one task stay.
        """
        self._book = book
        self._docker = docker
        self._remove_resources = remove_resources
        self._clock = clock
        self._wait_s = wait_s
        self._most = most
        self._longer_s = longer_s
        self._removing = asyncio.Lock()
        self._emptied: set[str] = set()
        """ARNs of stopped tasks of which nothing is left but what the controller is still to hear."""
        self._remembered = {arn: self._remembered_until(ended_at) for arn, ended_at in ended.items()}

    def has_ended(self, task_arn: str) -> bool:
        """Whether a task of this ARN has ended here before and was removed since."""
        return task_arn in self._remembered

    def mind(self, record: TaskRecord) -> None:
        """Set when a stopped task is removed; a wall clock that jumped never hastens it."""
        if record.state.known is Status.STOPPED and record.removal_due is None:
            passed = max(0.0, self._clock.now() - (record.state.stopped_at or self._clock.now()))
            record.removal_due = self._clock.monotonic() + max(0.0, self._wait_s + self._longer_s() - passed)

    async def clean_up(self) -> None:
        """Remove every task whose time has come, the oldest of too many, and forget ARNs that ended long ago.

        What fails is tried again the next time.
        """
        self._forget()
        async with self._removing:
            stopped = self._removable()
            surplus = len(stopped) - self._most
            for position, record in enumerate(stopped):
                due = record.removal_due
                if position < surplus or (due is not None and due <= self._clock.monotonic()):
                    await self._remove(record)

    async def relieve(self, enough: Callable[[], Awaitable[bool]]) -> None:
        """Remove stopped tasks before their time, the oldest first, until it is ``enough``.

        Of those whose end the controller does not know yet only what takes space goes: it is still told.
        """
        async with self._removing:
            for record in self._removable():
                if await enough():
                    return
                await self._remove(record)
            for record in self._book:
                if record.removal_due is None or record.plan.arn in self._emptied:
                    continue
                if await enough():
                    return
                await self._empty(record)

    def _removable(self) -> list[TaskRecord]:
        """The tasks whose end the controller knows, the oldest first."""
        ended = [r for r in self._book if r.removal_due is not None and r.state.sent is Sent.STOPPED]
        return sorted(ended, key=lambda record: record.state.stopped_at or 0.0)

    def _remembered_until(self, ended_at: float) -> float:
        """Until when (monotonic) an ARN is remembered; a wall clock that jumps later changes nothing about
        it.
        """
        passed = max(0.0, self._clock.now() - ended_at)
        return self._clock.monotonic() + TOMBSTONES_KEPT_S - passed

    def _forget(self) -> None:
        while self._remembered:
            oldest = next(iter(self._remembered))  # they were added as they were removed
            if self._remembered[oldest] > self._clock.monotonic():
                return
            del self._remembered[oldest]

    async def _empty(self, record: TaskRecord) -> None:
        """Remove a stopped task's containers and volumes, and know it on."""
        try:
            await self._remove_containers(record)
        except EngineError as error:
            log.warning("task_not_emptied", task=record.plan.arn, reason=error.reason)
            return
        self._emptied.add(record.plan.arn)
        log.info("task_emptied", task=record.plan.arn)

    async def _remove_containers(self, record: TaskRecord) -> None:
        for container in record.plan.containers:
            await self._docker.remove(container.docker_name)
        for volume in record.plan.volumes:
            if volume.task_scoped:
                await self._docker.remove_volume(volume.source)

    async def _remove(self, record: TaskRecord) -> None:
        reach(CrashPoint.BEFORE_REMOVAL)
        try:
            await self._remove_containers(record)
            await self._remove_resources(record.plan.arn)
        except EngineError as error:
            log.warning("task_removal_failed", task=record.plan.arn, reason=error.reason)
            return
        reach(CrashPoint.CONTAINERS_REMOVED)
        self._emptied.discard(record.plan.arn)
        ended_at = record.state.stopped_at or self._clock.now()
        self._remembered[record.plan.arn] = self._remembered_until(ended_at)
        self._book.remove(record, ended_at).add_done_callback(lambda _: reach(CrashPoint.TASK_FORGOTTEN))
        log.info("task_removed", task=record.plan.arn)
