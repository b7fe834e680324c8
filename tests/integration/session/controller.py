"""A controller of a few lines that speaks the wire for real and breaks it when told to."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from agent.protocol.envelope import decode_acs, decode_tcs, encode, split_signed_frame
from agent.protocol.signing import parse_authorization, verify

SECRET = "integration-secret"
ARN_PREFIX = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/"
PATIENCE_S = 10.0


class Connection:
    """One websocket of the agent, from the controller's side."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.query = dict(request.query)
        self.socket = socket
        self._path, self._raw_query = request.path, request.rel_url.raw_query_string
        self._request = request
        self.header_blocks: list[dict[str, str]] = []

    async def send(self, message: msgspec.Struct | str) -> None:
        await self.socket.send_str(message if isinstance(message, str) else encode(message))

    async def next_acs(self) -> msgspec.Struct:
        """The next message of the agent."""
        return decode_acs(await self._next_text())

    async def next_tcs(self) -> msgspec.Struct:
        """The next telemetry message, after its signature was verified."""
        headers, body = split_signed_frame(await self._next_text())
        assert headers is not None, "the agent sends a header block with every frame"
        verify(
            parse_authorization(headers),
            method="GET",
            path=self._path,
            query=self._raw_query,
            headers=headers,
            body=body.encode(),
            secret_access_key=SECRET,
            now=parse_authorization(headers).signed_at,
        )
        self.header_blocks.append(headers)
        return decode_tcs(body)

    async def _next_text(self) -> str:
        message = await asyncio.wait_for(self.socket.receive(), PATIENCE_S)
        assert message.type is WSMsgType.TEXT, message
        return str(message.data)

    async def ended(self) -> int | None:
        """Wait until the agent closes, and return its close code."""
        while True:
            message = await asyncio.wait_for(self.socket.receive(), PATIENCE_S)
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return self.socket.close_code

    @property
    def is_cut(self) -> bool:
        return self._request.transport is None or self._request.transport.is_closing()

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()


class FakeController:
    """Verifies every signature; everything else is up to the test."""

    def __init__(self) -> None:
        self.registrations: list[Any] = []
        self.submitted: list[Any] = []
        self.discoveries = 0
        self.clock_offset_s = 0.0
        self.refuse_register: Callable[[Any], tuple[int, Any] | None] = lambda _: None
        self.refuse_submit: Callable[[Any], tuple[int, Any] | None] = lambda _: None
        self.refuse_upgrade: Callable[[web.Request], web.Response | None] = lambda _: None
        self.url = ""
        self._closing = False
        self._acs: asyncio.Queue[Connection] = asyncio.Queue()
        self._tcs: asyncio.Queue[Connection] = asyncio.Queue()

    async def acs(self) -> Connection:
        """The agent's next ACS connection."""
        return await asyncio.wait_for(self._acs.get(), PATIENCE_S)

    async def tcs(self) -> Connection:
        """The agent's next TCS connection."""
        return await asyncio.wait_for(self._tcs.get(), PATIENCE_S)

    def _now(self) -> float:
        return time.time() + self.clock_offset_s

    def _verify(self, request: web.Request, body: bytes) -> web.Response | None:
        claim = parse_authorization(request.headers)
        verify(
            claim,
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.raw_query_string,
            headers=request.headers,
            body=body,
            secret_access_key=SECRET,
            now=claim.signed_at,
        )
        if abs(claim.signed_at - self._now()) > 300:
            return self._json({"__type": "InvalidSignatureException", "message": "Signature expired"}, 400)
        return None

    def _json(self, body: Any, status: int = 200) -> web.Response:
        date = formatdate(self._now(), usegmt=True)
        return web.json_response(body, status=status, headers={"Date": date})

    async def _api(self, request: web.Request) -> web.Response:
        body = await request.read()
        if (refusal := self._verify(request, body)) is not None:
            return refusal
        members = msgspec.json.decode(body)
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        if operation == "RegisterContainerInstance":
            self.registrations.append(members)
            if (refused := self.refuse_register(members)) is not None:
                return self._json(refused[1], refused[0])
            arn = members.get("containerInstanceArn") or f"{ARN_PREFIX}{len(self.registrations):032x}"
            instance = {"containerInstanceArn": arn, "attributes": members["attributes"]}
            return self._json({"containerInstance": instance})
        if operation == "DiscoverPollEndpoint":
            self.discoveries += 1
            return self._json({"endpoint": f"{self.url}/acs", "telemetryEndpoint": f"{self.url}/tcs"})
        assert operation == "SubmitTaskStateChange"
        self.submitted.append(members)
        if (refused := self.refuse_submit(members)) is not None:
            return self._json(refused[1], refused[0])
        return self._json({"acknowledgment": "ok"})

    def _upgrade(self, waiting: asyncio.Queue[Connection]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if (refusal := self._verify(request, b"")) is not None:
                return refusal
            if (refused := self.refuse_upgrade(request)) is not None:
                return refused
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            connection = Connection(request, socket)
            await waiting.put(connection)
            while not (socket.closed or self._closing or connection.is_cut):
                await asyncio.sleep(0.01)
            connection.drop()
            return socket

        return handle

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["FakeController"]:
        """Listen on loopback."""
        application = web.Application()
        application.router.add_post("/", self._api)
        application.router.add_get("/acs/ws", self._upgrade(self._acs))
        application.router.add_get("/tcs/ws", self._upgrade(self._tcs))
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self._closing = True
            await runner.cleanup()
