"""`GET /wire`: the stream of what passes, for administrators."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from agent.protocol.arn import last_segment
from controller.api.authentication import Authenticator, denied
from controller.api.errors import ApiError
from controller.wire.records import WIRE_PATH, line_of
from controller.wire.tap import Watcher, WireTap

log = structlog.get_logger(__name__)

MAX_WATCHERS = 8
"""Each may let `tap.QUEUE` records wait."""

SIGN_OF_LIFE_S = 5.0
"""Seconds without a record after which an empty line is sent: the watcher knows that the controller is there,
and the controller learns that a watcher has gone."""


class WireDesk:
    """Lets administrators watch."""

    def __init__(self, authenticator: Authenticator, tap: WireTap) -> None:
        self._authenticator = authenticator
        self._tap = tap
        self._watchers = 0

    def routes(self) -> list[web.RouteDef]:
        """Where it is reached."""
        return [web.get(WIRE_PATH, self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Stream records as lines, of the instance in the query's `instance` or of all, until either side
        ends it."""
        try:
            caller = self._admitted(request)
        except ApiError as error:
            log.warning("wire_refused", code=error.code, message=error.message)
            return web.json_response({"__type": error.code, "message": error.message}, status=error.status)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        log.info("wire_watched", caller=caller)
        self._watchers += 1
        try:
            with self._tap.watching(last_segment(request.query.get("instance", ""))) as watcher:
                await response.prepare(request)
                await _stream(response, watcher)
        except ConnectionError:
            log.info("wire_watcher_gone", caller=caller)
        finally:
            self._watchers -= 1
        return response

    def _admitted(self, request: web.Request) -> str:
        """Who may watch.

        Raises:
            ApiError: the caller may not, or too many do.
        """
        path, _, query = request.raw_path.partition("?")
        verified = self._authenticator.verify(request.headers, request.method, path, query, b"")
        if verified.caller.role != "administrator" or verified.caller.cluster is not None:
            raise denied(verified.caller, "homeport:WatchWire")
        if self._watchers >= MAX_WATCHERS:
            raise ApiError(
                f"{MAX_WATCHERS} others watch the wire already. End one of them, or come back later.",
                code="LimitExceededException",
            )
        return verified.caller.arn


async def _stream(response: web.StreamResponse, watcher: Watcher) -> None:
    """Write what comes until the end.

    Raises:
        ConnectionError: the watcher has gone.
    """
    while True:
        try:
            async with asyncio.timeout(SIGN_OF_LIFE_S):
                record = await watcher.next()
        except TimeoutError:
            await response.write(b"\n")
            continue
        if record is None:
            return
        await response.write(line_of(record))
