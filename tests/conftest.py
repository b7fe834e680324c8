"""What every test gets: the choice of event loop, and the check that it cleans up behind itself."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.clock import FakeClock, FakeLoop

pytest_plugins = ["tests.support.leaks", "tests.support.fixtures", "tests.support.members"]

_FIXTURES_ON_FAKE_TIME = {"fake_loop", "fake_clock"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test marked `fake_loop`, or one that asks for `fake_clock` or `fake_loop`, lives in fake time."""
    on_fake_time = item.get_closest_marker("fake_loop") or _FIXTURES_ON_FAKE_TIME & set(item.fixturenames)
    return {"fake": FakeLoop} if on_fake_time else {"real": asyncio.new_event_loop}


@pytest.fixture
async def fake_loop() -> FakeLoop:
    """The test's own event loop, whose time jumps to the next timer whenever it is idle."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FakeLoop)
    return loop


@pytest.fixture
async def fake_clock(fake_loop: FakeLoop) -> FakeClock:
    """The clock of the test's fake loop; a test without a loop simply makes its own `FakeClock()`."""
    return fake_loop.clock
