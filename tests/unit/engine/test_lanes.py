"""Blocking calls in bounded pools of threads."""

import asyncio
import threading

import pytest

from agent.engine.lanes import Lane, LaneClosedError


async def test_no_more_calls_run_at_a_time_than_the_lane_has_threads() -> None:
    lane, gate, running, most = Lane("test", 2), threading.Event(), 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        gate.wait(5)
        with guard:
            running -= 1

    calls = [asyncio.create_task(lane.call(work)) for _ in range(6)]
    while running < 2:
        await asyncio.sleep(0.001)
    gate.set()
    await asyncio.gather(*calls)
    await lane.close()

    assert most == 2


async def test_an_urgent_call_overtakes_those_that_wait() -> None:
    lane, gate, order = Lane("test", 1), threading.Event(), list[str]()
    first = asyncio.create_task(lane.call(lambda: gate.wait(5)))
    await asyncio.sleep(0)
    slow = asyncio.create_task(lane.call(lambda: order.append("slow")))
    await asyncio.sleep(0)
    urgent = asyncio.create_task(lane.call(lambda: order.append("urgent"), priority=0))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, slow, urgent)
    await lane.close()

    assert order == ["urgent", "slow"]


async def test_an_error_reaches_the_caller() -> None:
    lane = Lane("test", 1)
    with pytest.raises(ZeroDivisionError):
        await lane.call(lambda: 1 // 0)
    await lane.close()


async def test_a_closed_lane_cancels_who_waits_and_takes_no_more() -> None:
    lane, gate = Lane("test", 1), threading.Event()
    held = asyncio.create_task(lane.call(lambda: gate.wait(5)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(lane.call(lambda: None))
    await asyncio.sleep(0)
    gate.set()
    await lane.close()

    assert (await asyncio.gather(held, waiting, return_exceptions=True))[
        1
    ].__class__ is asyncio.CancelledError
    with pytest.raises(LaneClosedError):
        await lane.call(lambda: None)
