"""Bytes that one agent's connections cost the controller: a thousand of each channel, open and heard."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.gateway import gateway as gateway_module
from tests.benchmarks.report import say
from tests.integration.gateway.harness import World, eventually, open_connection, running_world
from tests.unit.gateway.samples import instance

SESSIONS = 1_000
OPEN_FILES = 4 * SESSIONS

MAXIMUM_BYTES = {"acs": 32_000, "tcs": 25_000}
"""Bytes a connection may cost: 5,000 agents with both must fit in a third of a controller of 1 GiB."""


def open_connections(world: World, url: Callable[[int], str]) -> list[socket.socket]:
    """A connection for each instance."""
    return [open_connection(world, url(number)) for number in range(1, SESSIONS + 1)]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of all connections in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, OPEN_FILES), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("channel", ["acs", "tcs"])
async def test_a_connection_costs_few_bytes(
    tmp_path: Path, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "MAX_SYNCHRONISING", SESSIONS + 1)
    # Nobody answers here, and nobody must be cut off for it.
    async with running_world(tmp_path, heartbeat_interval_s=600.0) as world:
        await world.put(*(instance(number) for number in range(1, SESSIONS + 1)))
        url = {"acs": world.acs_url, "tcs": world.tcs_url}[channel]
        # What the first connection loads and caches is no cost of connections.
        (await asyncio.to_thread(open_connection, world, url(1))).close()
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            connections = await asyncio.to_thread(open_connections, world, url)
            await eventually(lambda: len(getattr(world.gateway, f"_{channel}")) == SESSIONS)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for connection in connections:
            connection.close()
        await eventually(lambda: not getattr(world.gateway, f"_{channel}"))
    bytes_per_session = (after - before) / SESSIONS
    say(f"memory of an {channel} session", [bytes_per_session], "bytes")
    assert bytes_per_session <= MAXIMUM_BYTES[channel]
