"""One websocket to the controller: opening it, reading with a watchdog, closing it."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
from aiohttp.client_reqrep import ClientResponse
from yarl import URL

HANDSHAKE_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
LARGEST_MESSAGE = 64 * 1024 * 1024
_REFUSAL_LIMIT = 64 * 1024


class UpgradeRefused(Exception):
    """The server answered a websocket upgrade with an ordinary HTTP response."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        super().__init__(f"upgrade refused with HTTP {status}")


class ConnectionEnded(Exception):
    """A websocket is no longer of use. ``code`` is the close code; None if it was never closed in order."""

    def __init__(self, why: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(why)


class UpgradeResponse(ClientResponse):
    """A response that keeps what a refused upgrade says: ECS puts the reason into its body."""

    async def start(self, connection: Any) -> ClientResponse:
        response = await super().start(connection)
        if "Upgrade" in self.request_info.headers and self.status != 101:
            raise UpgradeRefused(self.status, self.headers, await self.content.read(_REFUSAL_LIMIT))
        return response


class Websocket:
    """An open websocket of text frames."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> "Websocket":
        """Connect. Raises ``UpgradeRefused`` or ``ConnectionEnded``."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                socket = await http.ws_connect(
                    URL(url, encoded=True),
                    headers=headers,
                    autoclose=True,
                    autoping=True,
                    max_msg_size=LARGEST_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionEnded(f"cannot connect: {type(error).__name__}: {error}") from error
        return cls(socket)

    async def receive(self, within_s: float) -> str:
        """The next frame. Raises ``ConnectionEnded`` if the socket closes or stays silent for
        ``within_s``.
        """
        try:
            async with asyncio.timeout(within_s):
                message = await self._socket.receive()
        except TimeoutError as error:
            raise ConnectionEnded(f"nothing heard for {within_s:.1f} s") from error
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data).decode(errors="replace")
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise ConnectionEnded(f"closed by the server: {message.extra or ''}", code=message.data)
        if message.type is aiohttp.WSMsgType.ERROR:
            raise ConnectionEnded(f"broken frame: {message.data}")
        raise ConnectionEnded("connection lost", code=self._socket.close_code)

    async def send(self, frame: str) -> None:
        """Send one frame. Raises ``ConnectionEnded`` if the socket is gone."""
        try:
            await self._socket.send_str(frame)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ConnectionEnded(f"cannot send: {error}") from error

    async def close(self, code: int = 1000, why: str = "") -> None:
        """End the connection in order, or at once if the server does not answer in time."""
        await self._socket.close(code=code, message=why.encode()[:120])


async def until_first_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side until one of them ends, end the others, and pass on its exception."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
