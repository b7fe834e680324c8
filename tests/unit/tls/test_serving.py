"""The controller's port: a certificate is renewed and an authority rotated while connections are open."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from controller.http_server import HttpServer
from controller.tls.automatic import AutomaticTls
from tests.support.clock import FakeClock
from tests.support.tls import presented, trusting

DAY = 86_400.0


async def echo(request: web.Request) -> web.WebSocketResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str(message.data)
    return answer


class Port:
    """A listening server with automatic TLS, whose clock the test moves."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(time.time() - 61 * DAY)
        self.tls = AutomaticTls(folder, lambda: ["127.0.0.1"], self.clock)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.number = int(self.listening.getsockname()[1])
        self.server = HttpServer(self.listening, [web.get("/ws", echo)], 1024, self.tls.context)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    made = Port(tmp_path)
    await made.server.start()
    serving = asyncio.create_task(made.server.run())
    yield made
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


async def test_open_websockets_stay_and_new_connections_get_the_new_certificate(port: Port) -> None:
    known = trusting(port.tls.trusted_pem)
    before = await asyncio.to_thread(presented, port.number, known)
    url = f"https://127.0.0.1:{port.number}/ws"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, ssl=known) as websocket:
        port.clock.advance(61 * DAY)
        port.tls.refresh()
        renewed = await asyncio.to_thread(presented, port.number, known)
        port.tls.rotate()
        rotated = await asyncio.to_thread(presented, port.number, known)
        assert len({before, renewed, rotated}) == 3
        await websocket.send_str("still here")
        assert (await websocket.receive(timeout=10)).data == "still here"
        async with http.ws_connect(url, ssl=known) as another:
            await another.send_str("and here")
            assert (await another.receive(timeout=10)).data == "and here"


async def test_who_does_not_speak_tls_gets_no_answer(port: Port) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://127.0.0.1:{port.number}/ws")
