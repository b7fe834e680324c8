"""The engine's event stream: what is told twice is heard once, and what comes late is heard all the same."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

from agent.engine.docker import Docker
from agent.engine.events import EventStream
from agent.engine.records import DockerEvent, StreamLost
from tests.support.clock import FakeClock

SECOND_NS = 1_000_000_000


def event(container: str, action: str, at_ns: int) -> dict[str, Any]:
    """A message of the engine's."""
    return {
        "Action": action,
        "timeNano": at_ns,
        "Actor": {"ID": container, "Attributes": {"name": container}},
    }


class Source:
    """A stream that delivers what it was given and then breaks, or goes silent until it is closed."""

    def __init__(self, bodies: list[dict[str, Any]], *, breaks: bool) -> None:
        self._bodies = bodies
        self._breaks = breaks
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        yield from self._bodies
        if not self._breaks:
            self._closed.wait()

    def close(self) -> None:
        self._closed.set()


class Engine:
    """Opens one stream after the other; the last one stays open."""

    def __init__(self, *streams: list[dict[str, Any]]) -> None:
        self._sources = [Source(s, breaks=number < len(streams) - 1) for number, s in enumerate(streams)]

    def open_events(self, filters: Mapping[str, Any], since: float) -> Source:
        return self._sources.pop(0)


async def heard(*streams: list[dict[str, Any]], count: int) -> list[tuple[str, str]]:
    """The first ``count`` events of these streams, container and action."""
    stream = EventStream(cast("Docker", Engine(*streams)), FakeClock(), "label")
    stream.start()
    found: list[tuple[str, str]] = []
    try:
        async with asyncio.timeout(10):
            while len(found) < count:
                notice = await stream.next()
                if isinstance(notice, DockerEvent):
                    found.append((notice.docker_id, notice.action))
                assert not isinstance(notice, StreamLost) or len(streams) > 1
    finally:
        await stream.stop()
    return found


async def test_an_event_that_is_delivered_after_a_newer_one_is_heard() -> None:
    late = [
        event("b", "die", 2000),
        event("a", "die", 1000),
        event("c", "die", 3000),
        event("a", "destroy", 3000),
    ]
    assert await heard(late, count=4) == [("b", "die"), ("a", "die"), ("c", "die"), ("a", "destroy")]


async def test_what_the_next_stream_repeats_is_heard_once() -> None:
    first = [event("a", "start", SECOND_NS), event("b", "die", 2 * SECOND_NS)]
    again = [*first, event("a", "die", 2 * SECOND_NS), event("c", "die", 60 * SECOND_NS)]
    assert await heard(first, again, count=4) == [("a", "start"), ("b", "die"), ("a", "die"), ("c", "die")]
