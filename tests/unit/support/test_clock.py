"""The fake clock and loop that the other tests trust."""

import asyncio
import socket
import sys
import threading
import time

import pytest

from tests.support.clock import EPOCH_AT_START, FakeClock, FakeLoop, NothingWillHappen, RealInputOutputRefused


def test_wall_and_monotonic_time_advance_together() -> None:
    clock = FakeClock()
    clock.advance(90)
    assert (clock.now(), clock.monotonic()) == (EPOCH_AT_START + 90, 90)


def test_a_jump_of_the_wall_clock_leaves_monotonic_time_alone() -> None:
    clock = FakeClock()
    clock.jump_wall(-3600)
    assert (clock.now(), clock.monotonic()) == (EPOCH_AT_START - 3600, 0)


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(-1)


async def test_hours_of_sleep_pass_at_once(fake_clock: FakeClock) -> None:
    started = time.monotonic()
    await asyncio.sleep(8 * 3600)
    assert fake_clock.monotonic() == 8 * 3600
    assert fake_clock.now() == EPOCH_AT_START + 8 * 3600
    assert time.monotonic() - started < 60


@pytest.mark.fake_loop
async def test_the_marker_alone_switches_to_fake_time() -> None:
    await asyncio.sleep(86_400 * 3)
    assert asyncio.get_running_loop().time() == 86_400 * 3


async def test_a_test_that_does_not_ask_lives_in_real_time() -> None:
    assert not isinstance(asyncio.get_running_loop(), FakeLoop)


async def test_timers_run_in_order_of_their_time_not_of_their_making(fake_clock: FakeClock) -> None:
    seen: list[tuple[str, float]] = []

    async def note(name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        seen.append((name, fake_clock.monotonic()))

    await asyncio.gather(note("late", 30), note("early", 5), note("between", 10.5))
    assert seen == [("early", 5), ("between", 10.5), ("late", 30)]


async def test_a_timeout_expires_in_fake_time(fake_clock: FakeClock) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(600):
            await asyncio.sleep(601)
    assert fake_clock.monotonic() == 600


async def test_time_stands_still_while_a_thread_works(fake_clock: FakeClock) -> None:
    release = threading.Event()

    async def tick() -> None:
        await asyncio.sleep(3600)

    ticking = asyncio.create_task(tick())
    work = asyncio.create_task(asyncio.to_thread(release.wait, 10))
    await asyncio.sleep(0)
    threading.Timer(0.05, release.set).start()
    assert await work
    assert fake_clock.monotonic() == 0
    await ticking
    assert fake_clock.monotonic() == 3600


def test_a_loop_that_nothing_can_wake_says_so_and_names_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.clock._IDLE_PATIENCE_S", 0.01)
    loop = FakeLoop()

    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(wait_for_nobody(), name="the-forgotten-one")
    try:
        with pytest.raises(NothingWillHappen, match="the-forgotten-one"):
            loop.run_until_complete(task)
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


async def test_connections_are_refused(fake_clock: FakeClock) -> None:
    with pytest.raises(RealInputOutputRefused):
        await asyncio.open_connection("127.0.0.1", 9)


async def test_servers_are_refused(fake_clock: FakeClock) -> None:
    with pytest.raises(RealInputOutputRefused):
        await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)


async def test_subprocesses_are_refused(fake_clock: FakeClock) -> None:
    with pytest.raises(RealInputOutputRefused):
        await asyncio.create_subprocess_exec(sys.executable, "-V")


async def test_watching_a_file_descriptor_is_refused(fake_loop: FakeLoop) -> None:
    left, right = socket.socketpair()
    with left, right, pytest.raises(RealInputOutputRefused):
        fake_loop.add_reader(left, lambda: None)
