"""Reporting what became of the tasks: in order for each task, few at a time, until the controller has it."""

import asyncio
from random import Random
from typing import Any, Protocol

import structlog

from agent.crash_points import CrashPoint, reach
from agent.engine.changes import TaskChange
from agent.session.api import ApiError, Unreachable
from agent.session.backoff import Backoff
from agent.session.engine_port import Changes
from agent.session.metrics import SessionMetrics
from agent.session.state_change_requests import task_state_change_request

log = structlog.get_logger(__name__)

IN_FLIGHT_LIMIT = 10
"""Submissions at the same time over all tasks, as in amazon-ecs-agent."""
DROPPED_BY = "InvalidParameterException"
"""The one answer by which a controller makes an agent forget an event."""


class Caller(Protocol):
    """Whatever makes calls of the ECS API."""

    async def call(self, operation: str, request: dict[str, Any], /) -> dict[str, Any]: ...


class StateChangeSubmitter:
    """Submits the newest unsent state of every task.

    One task's reports follow each other strictly, and a report that fails is made again with what is newest
    by then. A task that the controller does not accept holds up no other.
    """

    def __init__(
        self,
        *,
        client: Caller,
        changes: Changes,
        cluster: str,
        exclude_ipv6: bool,
        metrics: SessionMetrics,
        random: Random,
    ) -> None:
        self._client = client
        self._changes = changes
        self._cluster = cluster
        self._exclude_ipv6 = exclude_ipv6
        self._metrics = metrics
        self._random = random
        self._slots = asyncio.Semaphore(IN_FLIGHT_LIMIT)
        self._under_way: set[str] = set()

    async def run(self) -> None:
        """Submit for ever."""
        async with asyncio.TaskGroup() as reports:
            while True:
                await self._changes.wait()
                for task_arn in self._changes.unsent():
                    if task_arn not in self._under_way:
                        self._under_way.add(task_arn)
                        reports.create_task(self._report(task_arn), name=f"report {task_arn}")

    async def _report(self, task_arn: str) -> None:
        """Submit the states of one task until nothing about it is unsent."""
        backoff = Backoff(self._random)
        try:
            while self._changes.peek(task_arn) is not None:
                await self._submit_newest(task_arn, backoff)
        finally:
            # No await may stand between the last peek and this: news in between would be missed.
            self._under_way.remove(task_arn)

    async def _submit_newest(self, task_arn: str, backoff: Backoff) -> None:
        """Submit what is newest about a task as soon as a slot is free; wait after a failure."""
        async with self._slots:
            change = self._changes.peek(task_arn)
            if change is None:
                return
            failure = await self._submit(change)
            if isinstance(failure, Unreachable):
                # With the slot still taken: no other report would get through either.
                await self._wait_after(failure, change, backoff)
                return
        if failure is None:
            self._metrics.submitted.inc()
            log.info("state_change_sent", task=task_arn, status=change.status)
        elif failure.code == DROPPED_BY:
            log.warning("state_change_dropped", task=task_arn, status=change.status, error=str(failure))
        else:
            await self._wait_after(failure, change, backoff)
            return
        await self._changes.mark_sent(task_arn, change)
        _reach(change, CrashPoint.RUNNING_ACKNOWLEDGED, CrashPoint.STOPPED_ACKNOWLEDGED)
        backoff.reset()

    async def _submit(self, change: TaskChange) -> ApiError | Unreachable | None:
        request = task_state_change_request(self._cluster, change, exclude_ipv6=self._exclude_ipv6)
        _reach(change, CrashPoint.BEFORE_RUNNING_REPORTED, CrashPoint.BEFORE_STOPPED_REPORTED)
        try:
            await self._client.call("SubmitTaskStateChange", request)
        except (ApiError, Unreachable) as failure:
            return failure
        _reach(change, CrashPoint.AFTER_RUNNING_REPORTED, CrashPoint.AFTER_STOPPED_REPORTED)
        return None

    async def _wait_after(self, failure: Exception, change: TaskChange, backoff: Backoff) -> None:
        self._metrics.retried.inc()
        wait_s = backoff.next_wait_s()
        log.warning(
            "state_change_not_taken",
            task=change.task_arn,
            status=change.status,
            error=str(failure),
            retry_in_s=round(wait_s, 2),
        )
        await asyncio.sleep(wait_s)


def _reach(change: TaskChange, when_running: CrashPoint, when_stopped: CrashPoint) -> None:
    if change.status == "RUNNING":
        reach(when_running)
    elif change.status == "STOPPED":
        reach(when_stopped)
