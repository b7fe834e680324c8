"""Root tasks end together, in order, and never in silence."""

import asyncio

import pytest

from agent.protocol.supervision import STOP_ALLOWANCE_S, RootTaskFailed, Supervisor

pytestmark = pytest.mark.fake_loop


class Boom(Exception):
    pass


async def test_stopping_ends_root_tasks_in_reverse_order_of_spawning() -> None:
    ended: list[str] = []

    async def part(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append(name)

    failures: list[str] = []
    supervisor = Supervisor(lambda name, _: failures.append(name))
    for name in ("store", "api", "gateway"):
        supervisor.spawn(name, part(name))
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(5, stop.set)
    await supervisor.run_until(stop)
    assert ended == ["gateway", "api", "store"]
    assert failures == []


async def test_a_root_task_that_fails_ends_the_others_and_is_named_with_its_cause() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise Boom

    failures: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(lambda name, error: failures.append((name, error)))
    other = supervisor.spawn("other", asyncio.Event().wait())  # type: ignore[arg-type]
    supervisor.spawn("failing", fails())
    with pytest.raises(RootTaskFailed, match="failing") as failed:
        await supervisor.run_until(asyncio.Event())
    assert isinstance(failed.value.__cause__, Boom)
    assert [name for name, _ in failures] == ["failing"]
    assert other.cancelled()


async def test_a_root_task_that_merely_ends_is_a_failure_too() -> None:
    supervisor = Supervisor(lambda *_: None)
    supervisor.spawn("short", asyncio.sleep(1))
    with pytest.raises(RootTaskFailed, match="short"):
        await supervisor.run_until(asyncio.Event())


async def test_a_root_task_that_will_not_end_holds_the_others_up_for_a_bounded_time_only() -> None:
    loop = asyncio.get_running_loop()

    async def stubborn() -> None:
        while loop.time() < 60:
            try:
                await asyncio.sleep(60 - loop.time())
            except asyncio.CancelledError:
                continue

    supervisor = Supervisor(lambda *_: None)
    first = supervisor.spawn("first", asyncio.Event().wait())  # type: ignore[arg-type]
    slow = supervisor.spawn("stubborn", stubborn())
    stop = asyncio.Event()
    stop.set()
    began = loop.time()
    await supervisor.run_until(stop)
    assert loop.time() - began == STOP_ALLOWANCE_S
    assert first.cancelled()
    await slow


async def test_two_root_tasks_cannot_have_one_name() -> None:
    supervisor = Supervisor(lambda *_: None)
    supervisor.spawn("a", asyncio.sleep(1))
    with pytest.raises(ValueError, match="'a'"):
        supervisor.spawn("a", asyncio.sleep(1))
    stop = asyncio.Event()
    stop.set()
    await supervisor.run_until(stop)
