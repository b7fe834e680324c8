"""The event stream breaks and comes back: nothing that happened in between is missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.engine.harness import Harness

pytestmark = pytest.mark.engine

ENGINE_SOCKET = "/var/run/docker.sock"


class Proxy:
    """A socket in front of the Docker engine that can be cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = True
        self.flowing = asyncio.Event()
        """Cleared, nothing passes while every connection stays up: the engine hangs."""
        self.flowing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        """Pass everything on until the end."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        try:
            yield self
        finally:
            self._server.close()
            await self.cut()

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._open = False
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def heal(self) -> None:
        """Take connections again."""
        self._open = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if self._open:
                await self._relay(reader, writer)
        except asyncio.CancelledError:
            pass  # cut
        finally:
            self._connections.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(ENGINE_SOCKET)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, engine_writer))
                ways.create_task(self._pump(engine_reader, writer))
        finally:
            engine_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(65536):
                await self.flowing.wait()
                sink.write(chunk)
                await sink.drain()
            sink.write_eof()


async def test_a_container_that_dies_while_the_engine_cannot_be_reached_is_reported_afterwards(
    idle_harness: Harness, tmp_path: Path
) -> None:
    async with Proxy(tmp_path / "engine.sock").serving() as proxy:
        await idle_harness.start(docker_host=f"unix://{proxy.path}")
        try:
            task, survivor = await idle_harness.run(), await idle_harness.run()
            await proxy.cut()
            assert not await idle_harness.engine.healthy()
            idle_harness.client.api.kill(idle_harness.docker_name(task))
            await asyncio.sleep(0.3)
            assert idle_harness.statuses(task) == ["RUNNING"], "nothing is assumed that was not seen"
            proxy.heal()

            assert (await idle_harness.reported(task, "STOPPED")).containers[0].exit_code == 137
            assert await idle_harness.engine.healthy()
            assert idle_harness.statuses(survivor) == ["RUNNING"]
        finally:
            await idle_harness.stop()


async def test_a_stop_that_meets_an_unreachable_engine_is_made_up_for(
    idle_harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.engine.container_transitions.STOP_RETRY_S", 0.2)
    async with Proxy(tmp_path / "engine.sock").serving() as proxy:
        await idle_harness.start(docker_host=f"unix://{proxy.path}")
        try:
            task = await idle_harness.run()
            await proxy.cut()
            await idle_harness.engine.stop_tasks([task.arn or ""])
            await asyncio.sleep(0.3)
            assert idle_harness.statuses(task) == ["RUNNING"]
            proxy.heal()

            assert (await idle_harness.reported(task, "STOPPED")).containers[0].exit_code == 0
        finally:
            await idle_harness.stop()


async def test_a_hung_engine_is_told_as_unhealthy_and_nothing_is_assumed_until_it_answers(
    idle_harness: Harness, tmp_path: Path
) -> None:
    async with Proxy(tmp_path / "engine.sock").serving() as proxy:
        await idle_harness.start(docker_host=f"unix://{proxy.path}")
        try:
            task = await idle_harness.run()
            proxy.flowing.clear()
            idle_harness.client.api.kill(idle_harness.docker_name(task))
            assert not await idle_harness.engine.healthy()
            assert idle_harness.statuses(task) == ["RUNNING"]
            proxy.flowing.set()

            assert (await idle_harness.reported(task, "STOPPED")).containers[0].exit_code == 137
            assert await idle_harness.engine.healthy()
        finally:
            proxy.flowing.set()
            await idle_harness.stop()


async def test_an_engine_that_is_not_there_yet_is_waited_for(idle_harness: Harness, tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "engine.sock")
    starting = asyncio.create_task(idle_harness.start(docker_host=f"unix://{proxy.path}"))
    await asyncio.sleep(0.2)
    assert not starting.done()
    async with proxy.serving():
        try:
            await asyncio.wait_for(starting, 15)
            await idle_harness.run()
        finally:
            await idle_harness.stop()
