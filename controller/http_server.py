"""The one HTTP port: API, websockets of agents, health and metrics."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable

from aiohttp import web

KEEP_ALIVE_S = 75.0
SHUTDOWN_S = 3.0
"""Seconds that calls in flight get to be answered at the end."""


class HttpServer:
    """Serves routes on a listening socket."""

    def __init__(
        self,
        listening: socket.socket,
        routes: Iterable[web.AbstractRouteDef],
        max_body_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: serve HTTPS with it; a new certificate in it holds for the connections that follow."""
        app = web.Application(client_max_size=max_body_bytes)
        app.add_routes(routes)
        self._listening = listening
        self._tls = tls
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
            handle_signals=False,
        )

    async def start(self) -> None:
        """Begin to answer."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening, ssl_context=self._tls).start()

    async def run(self) -> None:
        """Serve for ever; once cancelled, let calls in flight finish for a moment."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._runner.cleanup()
