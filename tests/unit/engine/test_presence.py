"""Work that meets an engine that is away: it waits, says so, and is done once the engine is back."""

import asyncio
from typing import cast

import pytest

from agent.engine.docker import Docker
from agent.engine.errors import CannotCreateContainerError, DockerTimeoutError, EngineUnavailableError
from agent.engine.presence import EnginePresence
from tests.support.clock import FakeClock


class Engine:
    """Answers pings or does not."""

    def __init__(self) -> None:
        self.there = True
        self.returns = 0

    async def ping(self) -> None:
        if not self.there:
            raise EngineUnavailableError("nobody listens")

    def presence(self) -> EnginePresence:
        def back() -> None:
            self.returns += 1

        return EnginePresence(cast("Docker", self), FakeClock(), back)


class Work:
    """Raises what it is given, one after the other, and then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.tried: list[int] = []

    async def __call__(self, tried: int) -> str:
        self.tried.append(tried)
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.engine.presence._LOOK_AGAIN_S", (0.01,))


async def test_work_that_meets_an_absent_engine_says_so_and_is_done_when_it_is_back() -> None:
    engine, work, said = Engine(), Work(EngineUnavailableError("connection reset")), list[str]()
    presence = engine.presence()
    engine.there = False
    watching = asyncio.create_task(presence.watch())
    doing = asyncio.create_task(presence.outlast(work, wanted=lambda: True, waiting=said.append))
    while not said:
        await asyncio.sleep(0.01)
    assert not doing.done()
    engine.there = True

    assert await asyncio.wait_for(doing, 5) == "done"
    watching.cancel()
    await asyncio.wait([watching])
    assert work.tried == [0, 1]
    assert said == [
        "waits for the Docker engine, which does not answer: "
        "CannotConnectToDockerEngineError: connection reset"
    ]
    assert (presence.absence, engine.returns) == ("", 1)


async def test_work_that_nobody_wants_any_more_ends_with_what_kept_it() -> None:
    engine, work = Engine(), Work(EngineUnavailableError("gone"))
    presence = engine.presence()
    engine.there = False
    answers = [True]
    with pytest.raises(
        EngineUnavailableError, match="does not answer: CannotConnectToDockerEngineError: gone"
    ):
        await presence.outlast(work, wanted=lambda: bool(answers and answers.pop()), waiting=lambda _: None)
    assert work.tried == [0]


async def test_an_engine_that_answers_and_takes_too_long_over_a_call_fails_that_call() -> None:
    engine, work = Engine(), Work(DockerTimeoutError("create took too long"))
    with pytest.raises(DockerTimeoutError, match="create took too long"):
        await engine.presence().outlast(work, wanted=lambda: True, waiting=lambda _: None)


async def test_what_the_engine_refuses_is_told_at_once() -> None:
    engine, work = Engine(), Work(CannotCreateContainerError("no such option"))
    with pytest.raises(CannotCreateContainerError):
        await engine.presence().outlast(work, wanted=lambda: True, waiting=lambda _: None)
    assert work.tried == [0]
