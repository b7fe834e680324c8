"""One agent's websocket, as sessions use it: whole frames, bounded waits, a cut that always works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from controller.wire.tap import WireConnection

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Longest frame taken from an agent; an inventory of ten thousand tasks and telemetry of one megabyte fit."""

SEND_TIMEOUT_S = 20.0
"""Seconds that an agent may leave a frame unread before it is cut off; what it does not read is not kept for
it."""

CLOSE_TIMEOUT_S = 2.0
"""Seconds to wait for the agent's answer to a close frame."""

NORMAL = 1000
GOING_AWAY = 1001
REFUSED = 1008
"""Agents reconnect at once after NORMAL and GOING_AWAY, and back off after REFUSED."""
TRY_AGAIN_LATER = 1013


class Disconnected(Exception):
    """The other end is gone, or does not read."""


class AgentSocket:
    """Frames to and from one agent."""

    __slots__ = ("_transport", "_websocket", "_wire")

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        transport: asyncio.BaseTransport | None,
        wire: WireConnection,
    ) -> None:
        """`wire` is told of every frame that passes."""
        self._websocket = websocket
        self._transport = transport
        self._wire = wire

    @property
    def open(self) -> bool:
        """Whether neither end has begun to close."""
        return not self._websocket.closed

    async def send(self, frame: str) -> None:
        """Send a frame; returns when the agent's connection has taken most of it.

        Raises:
            Disconnected: it did not within `SEND_TIMEOUT_S`, or is gone.
        """
        # Before it is sent: the answer may be here before the sending is over.
        self._wire.passed("controller", frame)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._websocket.send_str(frame)
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            # RuntimeError is aiohttp's word for a websocket that was closed before.
            raise Disconnected(str(error) or type(error).__name__) from error

    async def frames(self) -> AsyncIterator[str]:
        """Every frame until either end closes. Agents send text; other frames are read as text."""
        while (frame := await self.receive(None)) is not None:
            yield frame

    async def receive(self, timeout_s: float | None) -> str | None:
        """The next frame, or None once the connection is closed.

        Raises:
            TimeoutError: nothing came in time.
        """
        while True:
            message = await self._websocket.receive(timeout_s)
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                frame = _text(message)
                self._wire.passed("agent", frame)
                return frame
            if message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            ):
                return None

    async def close(self, code: int, reason: str) -> None:
        """Close in order; cut if the agent does not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._websocket.close(code=code, message=reason.encode()[:120])
        self.cut()

    def cut(self) -> None:
        """End the connection at once, without a word. Whoever waits for a frame or a send is told."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()


def _text(message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.TEXT:
        return str(message.data)
    return bytes(message.data).decode("utf-8", "replace")


def new_websocket() -> web.WebSocketResponse:
    """A websocket as agents need it: bounded frames, no compression (agents ask for none, and it costs
    memory)."""
    return web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES, compress=False, timeout=CLOSE_TIMEOUT_S)
