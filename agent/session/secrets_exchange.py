"""Asks the controller for the secrets of tasks, over whatever connection there is.

A question outlives the connection that it was asked on: it is put again on the next one, and after a while
without an answer, for as long as the task is to start. Only a controller that answers, or says that it does
not answer such questions, ends it.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import msgspec
import structlog

from agent.engine.task_secrets import SecretsUnavailableError
from agent.protocol.extensions import ContainerSecrets, TaskSecretsAnswer, TaskSecretsRequest
from agent.session.websocket import ConnectionEnded

log = structlog.get_logger(__name__)

PAUSES_S = (1.0, 2.0, 4.0, 8.0)
"""Between the attempts while the controller says "not now"; after the last one the task is given up."""
ANSWER_PATIENCE_S = 60.0
"""Until a question is put again on the same connection: the controller has dropped it."""
HELLO_PATIENCE_S = 10.0
"""Until a controller that has not introduced itself counts as one that resolves no secrets."""
NOT_RESOLVED_HERE = (
    "unable to pull secrets or registry auth: the controller that this agent is connected to does not "
    "resolve secrets for its agents"
)

Send = Callable[[msgspec.Struct], Awaitable[None]]


class _Line:
    """One connection."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.resolves_secrets: bool | None = None
        """What the controller has said about it; None while it has not introduced itself."""


class SecretsExchange:
    """The questions that are open."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._line: _Line | None = None
        self._changed = asyncio.Event()
        self._open: dict[str, asyncio.Future[TaskSecretsAnswer]] = {}

    # --- what a connection tells ---

    def connected(self, send: Send) -> None:
        """A connection is open, over which questions can be asked once the controller has said hello."""
        self._line = _Line(send)
        self._wake()

    def greeted(self, *, resolves_secrets: bool) -> None:
        """The controller has introduced itself, as it does again whenever its heartbeat changes."""
        if self._line is not None and self._line.resolves_secrets != resolves_secrets:
            self._line.resolves_secrets = resolves_secrets
            self._wake()

    def disconnected(self) -> None:
        """The connection is gone; questions wait for the next one."""
        self._line = None
        self._wake()

    def answered(self, answer: TaskSecretsAnswer) -> None:
        """An answer has come; one that nobody waits for any more is dropped."""
        waiting = self._open.get(answer.request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    # --- what the engine asks ---

    async def resolve(self, task_arn: str, containers: Sequence[str]) -> Sequence[ContainerSecrets]:
        """The values for containers of a task. Raises ``SecretsUnavailableError``."""
        for pause in (*PAUSES_S, None):
            answer = await self._ask(task_arn, tuple(containers))
            if not answer.error:
                return answer.containers
            log.warning("secrets_not_given", task=task_arn, reason=answer.error, again=answer.again)
            if not answer.again or pause is None:
                raise SecretsUnavailableError(answer.error)
            await asyncio.sleep(self._random.uniform(pause / 2, pause))
        raise AssertionError("the last pause is None")

    async def _ask(self, task_arn: str, containers: tuple[str, ...]) -> TaskSecretsAnswer:
        """Put a question until it is answered."""
        request = TaskSecretsRequest(request_id=str(uuid.uuid4()), task_arn=task_arn, containers=containers)
        waiting: asyncio.Future[TaskSecretsAnswer] = asyncio.get_running_loop().create_future()
        self._open[request.request_id] = waiting
        try:
            while not waiting.done():
                line = await self._someone_to_ask()
                try:
                    await line.send(request)
                    await self._answer_or_change(waiting)
                except ConnectionEnded:
                    await self._change(HELLO_PATIENCE_S)
            return waiting.result()
        finally:
            del self._open[request.request_id]

    async def _someone_to_ask(self) -> _Line:
        """The present connection, once its controller has said that it resolves secrets."""
        while True:
            line = self._line
            if line is None:
                await self._change(None)
            elif line.resolves_secrets:
                return line
            elif line.resolves_secrets is None:
                await self._change(HELLO_PATIENCE_S)
                if line is self._line and line.resolves_secrets is None:
                    line.resolves_secrets = False
            else:
                raise SecretsUnavailableError(NOT_RESOLVED_HERE)

    async def _answer_or_change(self, waiting: "asyncio.Future[TaskSecretsAnswer]") -> None:
        """Return when the answer is there, the connection has changed, or the patience is over."""
        changed = asyncio.create_task(self._change(ANSWER_PATIENCE_S))
        waiting.add_done_callback(lambda _: changed.cancel())
        try:
            await asyncio.wait([changed])
        finally:
            changed.cancel()

    async def _change(self, patience_s: float | None) -> None:
        """Return when the connection has changed, or the patience is over."""
        try:
            async with asyncio.timeout(patience_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        """Let everybody who waits look again at how the connection is."""
        self._changed.set()
        self._changed = asyncio.Event()
