"""An engine and a controller whose failures tests decide."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agent.engine.changes import KnownTask, RejectedTask, TaskChange
from agent.protocol import acs, tcs
from agent.protocol.extensions import InstanceDiskMessage

CLUSTER_ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
INSTANCE_ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/ab"


def known(
    task_arn: str, desired: str = "RUNNING", status: str = "RUNNING", sent: str = "RUNNING"
) -> KnownTask:
    """A task as the engine lists it."""
    return KnownTask(task_arn, "web", "3", desired, status, sent, 1.5 if status == "RUNNING" else None)


class FakeChanges:
    """Changes that tests make, one merged state for each task."""

    def __init__(self) -> None:
        self.newest: dict[str, TaskChange] = {}
        self.sent: list[TaskChange] = []
        self._news = asyncio.Event()

    def make(self, task_arn: str, status: Any = "RUNNING", reason: str = "") -> TaskChange:
        """A task has come into a new state."""
        change = TaskChange(task_arn, status, reason)
        self.newest[task_arn] = change
        self._news.set()
        return change

    async def wait(self) -> None:
        await self._news.wait()
        self._news.clear()

    def unsent(self) -> tuple[str, ...]:
        return tuple(self.newest)

    def peek(self, task_arn: str) -> TaskChange | None:
        return self.newest.get(task_arn)

    async def mark_sent(self, task_arn: str, change: TaskChange) -> None:
        self.sent.append(change)
        await asyncio.sleep(0)
        if self.newest.get(task_arn) == change:
            del self.newest[task_arn]


class FakeEngine:
    """Keeps what the sessions tell it, and answers what tests set."""

    def __init__(self, *tasks: KnownTask) -> None:
        self.tasks = list(tasks)
        self.accepted: list[acs.Task] = []
        self.accept_fails: Exception | None = None
        self.accepting: Callable[[], Any] | None = None
        self.rejects: tuple[RejectedTask, ...] = ()
        self.stopped: list[str] = []
        self.credentials: list[acs.IAMRoleCredentialsMessage] = []
        self.is_healthy = True
        self.metrics: tuple[tcs.TaskMetric, ...] = ()
        self.health: tuple[tcs.TaskHealth, ...] = ()
        self.health_changed = asyncio.Event()
        self.disk = InstanceDiskMessage(status="OK")
        self.disk_changed = asyncio.Event()
        self.changes = FakeChanges()
        self.docker_version: str | None = "20.10.24"

    async def accept(self, tasks: Sequence[acs.Task]) -> tuple[RejectedTask, ...]:
        if self.accepting is not None:
            await self.accepting()
        if self.accept_fails is not None:
            raise self.accept_fails
        self.accepted += tasks
        return self.rejects

    async def stop_tasks(self, task_arns: Iterable[str]) -> None:
        self.stopped += task_arns

    def known_tasks(self) -> tuple[KnownTask, ...]:
        return tuple(self.tasks)

    async def healthy(self) -> bool:
        return self.is_healthy

    def task_metrics(self, window_s: float) -> tuple[tcs.TaskMetric, ...]:
        return self.metrics

    def task_health(self) -> tuple[tcs.TaskHealth, ...]:
        return self.health

    async def wait_for_health_change(self) -> None:
        await self.health_changed.wait()
        self.health_changed.clear()

    def disks(self) -> InstanceDiskMessage:
        return self.disk

    async def wait_for_disk_change(self) -> None:
        await self.disk_changed.wait()
        self.disk_changed.clear()

    def set_credentials(self, message: acs.IAMRoleCredentialsMessage) -> bool:
        self.credentials.append(message)
        return any(task.task_arn == message.task_arn for task in self.tasks)


class FakeApi:
    """Answers each call with the next prepared answer; the last one stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[float, str, Any]] = []
        self.takes_s = 0.0
        self.in_flight = 0
        self.most_in_flight = 0

    async def call(self, operation: str, request: Any) -> dict[str, Any]:
        self.calls.append((asyncio.get_running_loop().time(), operation, request))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.in_flight -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(operation, request)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)
