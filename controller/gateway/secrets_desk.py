"""Answers one agent's requests for its tasks' secrets.

An agent is told the values of a task only that is placed on its instance and not to be stopped, and only
those that the task's definition names. A few requests are worked on at a time, and as many answers wait at
most for the agent to read, so that an agent that asks for much costs little.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from agent.protocol.extensions import ContainerSecrets, TaskSecretsAnswer, TaskSecretsRequest
from controller.gateway.delivery import is_stop_decided
from controller.gateway.overrides import overridden_containers
from controller.secrets.resolver import CannotResolve, SecretsResolver
from controller.state.entities import ContainerInstance, Document, Task, TaskDefinition, task_definition_key
from controller.state.indexes import TASKS_ON_INSTANCE
from controller.state.kernel import State

log = structlog.get_logger(__name__)

AT_A_TIME = 4
"""Requests of one agent that are worked on at once."""

MAX_WAITING = 1000
"""Requests of one agent that may wait; one more is dropped, and the agent asks again."""

PATIENCE_S = 40.0
"""Seconds that the values of one task may take."""

NOT_ITS_TASK = "the task is not one that runs on this container instance"


class SecretsDesk:
    """One connection's requests and answers."""

    def __init__(
        self,
        state: State,
        resolver: SecretsResolver,
        instance: ContainerInstance,
        send: Callable[[TaskSecretsAnswer], Awaitable[None]],
    ) -> None:
        """`send` returns when the answer is on its way."""
        self._state = state
        self._resolver = resolver
        self._instance_key = instance.key
        self._send = send
        self._waiting: deque[TaskSecretsRequest] = deque()
        self._clerks: set[asyncio.Task[None]] = set()

    def ask(self, request: TaskSecretsRequest) -> None:
        """Take a request in."""
        if len(self._waiting) >= MAX_WAITING:
            log.warning("secrets_request_dropped", instance=self._instance_key, task=request.task_arn)
            return
        self._waiting.append(request)
        if len(self._clerks) < AT_A_TIME:
            clerk = asyncio.create_task(self._work(), name=f"secrets for {self._instance_key}")
            self._clerks.add(clerk)
            clerk.add_done_callback(self._ended)

    def close(self) -> None:
        """Answer no more."""
        for clerk in self._clerks:
            clerk.cancel()

    async def _work(self) -> None:
        while self._waiting:
            request = self._waiting.popleft()
            await self._send(await self._answer(request))

    def _ended(self, clerk: asyncio.Task[None]) -> None:
        self._clerks.discard(clerk)
        if not clerk.cancelled() and (error := clerk.exception()) is not None:
            log.error("secrets_request_failed", instance=self._instance_key, exc_info=error)

    async def _answer(self, request: TaskSecretsRequest) -> TaskSecretsAnswer:
        try:
            async with asyncio.timeout(PATIENCE_S):
                containers = await self._resolve(request)
        except CannotResolve as error:
            log.warning("secrets_not_resolved", task=request.task_arn, reason=str(error), again=error.again)
            return TaskSecretsAnswer(request_id=request.request_id, error=str(error), again=error.again)
        except TimeoutError:
            log.warning("secrets_not_resolved", task=request.task_arn, reason="timed out", again=True)
            error_text = f"unable to pull secrets or registry auth: no answer within {PATIENCE_S:g} s"
            return TaskSecretsAnswer(request_id=request.request_id, error=error_text, again=True)
        log.info("secrets_resolved", task=request.task_arn, containers=list(request.containers))
        return TaskSecretsAnswer(request_id=request.request_id, containers=tuple(containers))

    async def _resolve(self, request: TaskSecretsRequest) -> list[ContainerSecrets]:
        wanted = set(request.containers)
        return [
            await self._resolver.container(container)
            for container in self._containers(request.task_arn)
            if container["name"] in wanted
        ]

    def _containers(self, task_arn: str) -> list[Document]:
        """The containers of a task that the agent may know about. Raises `CannotResolve`."""
        read = self._state.read()
        task = next(
            (
                task
                for task in read.select(TASKS_ON_INSTANCE, self._instance_key).values()
                if read.names.task(task) == task_arn and not is_stop_decided(task)
            ),
            None,
        )
        definition = None if task is None else self._definition(task)
        if task is None or definition is None:
            raise CannotResolve(NOT_ITS_TASK, again=False)
        return list(overridden_containers(definition.document, task))

    def _definition(self, task: Task) -> TaskDefinition | None:
        return self._state.read().get(TaskDefinition, task_definition_key(task.family, task.revision))
