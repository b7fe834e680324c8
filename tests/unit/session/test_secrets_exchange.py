"""Questions about secrets, on fake time: put to whoever is connected, again and again, until one answers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from agent.engine.task_secrets import SecretsUnavailableError
from agent.protocol.extensions import ContainerSecrets, TaskSecretsAnswer, TaskSecretsRequest
from agent.session.secrets_exchange import (
    ANSWER_PATIENCE_S,
    HELLO_PATIENCE_S,
    NOT_RESOLVED_HERE,
    PAUSES_S,
    SecretsExchange,
)
from agent.session.websocket import ConnectionEnded

pytestmark = pytest.mark.fake_loop

VALUES = (ContainerSecrets(name="app", secrets={"A": "1"}),)


class Controller:
    """The other end of a connection."""

    def __init__(self) -> None:
        self.asked: list[TaskSecretsRequest] = []
        self.gone = False

    async def send(self, message: msgspec.Struct) -> None:
        if self.gone:
            raise ConnectionEnded("gone")
        assert isinstance(message, TaskSecretsRequest)
        self.asked.append(message)


@pytest.fixture
def exchange() -> SecretsExchange:
    return SecretsExchange(Random(1))


def greet(exchange: SecretsExchange, *, resolves_secrets: bool = True) -> Controller:
    """Connect to a controller that introduces itself."""
    controller = Controller()
    exchange.connected(controller.send)
    exchange.greeted(resolves_secrets=resolves_secrets)
    return controller


Resolving = Coroutine[Any, Any, Sequence[ContainerSecrets]]


async def started(resolving: Resolving) -> asyncio.Task[Sequence[ContainerSecrets]]:
    task = asyncio.create_task(resolving)
    await asyncio.sleep(0.01)
    return task


async def test_a_question_is_put_and_answered(exchange: SecretsExchange) -> None:
    controller = greet(exchange)
    resolving = await started(exchange.resolve("task", ["app"]))
    (request,) = controller.asked
    assert (request.task_arn, request.containers) == ("task", ("app",))
    exchange.answered(TaskSecretsAnswer(request_id=request.request_id, containers=VALUES))
    assert await resolving == VALUES


async def test_without_a_connection_a_question_waits_for_one(exchange: SecretsExchange) -> None:
    resolving = await started(exchange.resolve("task", ["app"]))
    await asyncio.sleep(3600)
    assert not resolving.done()
    controller = greet(exchange)
    await asyncio.sleep(0.01)
    exchange.answered(TaskSecretsAnswer(request_id=controller.asked[0].request_id, containers=VALUES))
    assert await resolving == VALUES


async def test_a_question_is_put_again_on_the_next_connection(exchange: SecretsExchange) -> None:
    first = greet(exchange)
    resolving = await started(exchange.resolve("task", ["app"]))
    exchange.disconnected()
    second = greet(exchange)
    await asyncio.sleep(0.01)
    assert second.asked == first.asked
    exchange.answered(TaskSecretsAnswer(request_id=second.asked[0].request_id, containers=VALUES))
    assert await resolving == VALUES


async def test_a_connection_that_fails_while_asking_is_no_answer(exchange: SecretsExchange) -> None:
    gone = greet(exchange)
    gone.gone = True
    resolving = await started(exchange.resolve("task", ["app"]))
    controller = greet(exchange)
    await asyncio.sleep(0.01)
    exchange.answered(TaskSecretsAnswer(request_id=controller.asked[0].request_id, containers=VALUES))
    assert await resolving == VALUES


async def test_a_question_without_an_answer_is_put_again(exchange: SecretsExchange) -> None:
    controller = greet(exchange)
    resolving = await started(exchange.resolve("task", ["app"]))
    await asyncio.sleep(ANSWER_PATIENCE_S + 1)
    assert len(controller.asked) == 2
    resolving.cancel()


async def test_another_hello_of_the_same_controller_asks_nothing_again(exchange: SecretsExchange) -> None:
    controller = greet(exchange)
    resolving = await started(exchange.resolve("task", ["app"]))
    exchange.greeted(resolves_secrets=True)
    await asyncio.sleep(1)
    assert len(controller.asked) == 1
    resolving.cancel()


async def test_an_error_ends_the_question_with_its_words(exchange: SecretsExchange) -> None:
    controller = greet(exchange)
    resolving = await started(exchange.resolve("task", ["app"]))
    exchange.answered(TaskSecretsAnswer(request_id=controller.asked[0].request_id, error="no such secret"))
    with pytest.raises(SecretsUnavailableError, match="no such secret"):
        await resolving


async def test_not_now_is_asked_again_a_few_times(exchange: SecretsExchange) -> None:
    controller = greet(exchange)
    resolving = await started(exchange.resolve("task", ["app"]))
    for _ in range(len(PAUSES_S) + 1):
        answer = TaskSecretsAnswer(
            request_id=controller.asked[-1].request_id, error="Rate exceeded", again=True
        )
        exchange.answered(answer)
        await asyncio.sleep(max(PAUSES_S) + 1)
    assert len(controller.asked) == len(PAUSES_S) + 1
    with pytest.raises(SecretsUnavailableError, match="Rate exceeded"):
        await resolving


@pytest.mark.parametrize("greets", [True, False])
async def test_a_controller_that_resolves_nothing_is_told_as_the_reason(
    exchange: SecretsExchange, greets: bool
) -> None:
    if greets:
        greet(exchange, resolves_secrets=False)
    else:
        exchange.connected(Controller().send)
    resolving = await started(exchange.resolve("task", ["app"]))
    await asyncio.sleep(HELLO_PATIENCE_S + 1)
    with pytest.raises(SecretsUnavailableError) as caught:
        await resolving
    assert str(caught.value) == NOT_RESOLVED_HERE


async def test_an_answer_that_nobody_waits_for_is_dropped(exchange: SecretsExchange) -> None:
    greet(exchange)
    exchange.answered(TaskSecretsAnswer(request_id="long ago", containers=VALUES))
