"""Calls of the ECS API: AWS JSON 1.1 over HTTP, signed."""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import structlog
from yarl import URL

from agent import __version__
from agent.protocol.clock import Clock
from agent.protocol.signing import Credentials, sign
from agent.session.metrics import SessionMetrics
from agent.session.server_time import ServerTime
from agent.session.websocket import UpgradeRefused, UpgradeResponse, Websocket

log = structlog.get_logger(__name__)

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113"
SIGNING_NAME = "ecs"
TARGET_PREFIXES = {SIGNING_NAME: TARGET_PREFIX, "homeport": "HomeportV1"}
"""By the signing name of a service, what stands before its operations' names."""
CALL_TIMEOUT_S = 15.0
"""Longer than a controller may hold an answer back, short enough to notice a dead one."""
CONNECT_TIMEOUT_S = 5.0
# Below every server's own, so that no call is lost on a connection that the server is just closing.
_KEEPALIVE_S = 12.0
_MESSAGE_LIMIT = 1000


class ApiError(Exception):
    """The controller answered with an error. ``code`` is ECS's name of it."""

    def __init__(self, operation: str, code: str, message: str, status: int) -> None:
        self.operation = operation
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{operation}: {code}: {message} (HTTP {status})")


class Unreachable(Exception):
    """The controller gave no answer that could be read."""


class ControlPlaneClient:
    """One signed connection pool to the controller. Use it as an asynchronous context manager."""

    def __init__(
        self,
        url: str,
        region: str,
        credentials: Credentials,
        server_time: ServerTime,
        clock: Clock,
        metrics: SessionMetrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` verifies the controller's certificate; None trusts whom the system does."""
        self._url = url.rstrip("/") + "/"
        self._region = region
        self._credentials = credentials
        self._server_time = server_time
        self._clock = clock
        self.metrics = metrics
        self._tls = tls
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        loopback = URL(self._url).host in ("localhost", "127.0.0.1", "::1")
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=_KEEPALIVE_S, limit=32, ssl=self._tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"Homeport Agent - v{__version__}"},
            response_class=UpgradeResponse,
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # Go never uses a proxy for the machine itself; Python's own rule would.
            trust_env=not loopback,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    @property
    def _pool(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("the client is used outside its context")
        return self._http

    def use(self, credentials: Credentials) -> None:
        """Sign with other credentials from now on."""
        self._credentials = credentials

    def server_now(self) -> float:
        """The controller's time, in epoch seconds."""
        return self._server_time.now()

    def sign(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        credentials: Credentials | None = None,
        service: str = SIGNING_NAME,
    ) -> dict[str, str]:
        """The headers that sign a request at the controller's present time, with the agent's own credentials
        if no others are given.
        """
        return sign(
            method=method,
            url=url,
            headers=headers,
            body=body,
            credentials=credentials or self._credentials,
            service=service,
            region=self._region,
            now=self._server_time.now(),
        )

    async def open_websocket(self, url: str) -> Websocket:
        """Open a signed websocket. Raises ``UpgradeRefused`` or ``ConnectionEnded``."""
        try:
            return await Websocket.open(self._pool, url, self.sign("GET", url, {}, b""))
        except UpgradeRefused as refusal:
            # A refusal may come from a clock that is off; the next attempt is signed with the right time.
            self._server_time.observe(refusal.headers)
            raise

    async def call(
        self,
        operation: str,
        request: Mapping[str, Any],
        *,
        credentials: Credentials | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
        service: str = SIGNING_NAME,
    ) -> dict[str, Any]:
        """Call one operation and return its answer. Raises ``ApiError`` or ``Unreachable``.

        ``credentials`` are those of a task's role when it is the task that asks, by default the agent's own.
        A call that was refused while our clock proves to have been off is made once more with the right time.
        """
        began, outcome = self._clock.monotonic(), "ok"
        try:
            try:
                return await self._call_once(service, operation, request, credentials, timeout_s)
            except _SignedAtTheWrongTime:
                return await self._call_once(
                    service, operation, request, credentials, timeout_s, clock_is_right=True
                )
        except Unreachable:
            outcome = "unreachable"
            raise
        except ApiError as error:
            outcome = error.code
            raise
        finally:
            duration = self._clock.monotonic() - began
            self.metrics.call_seconds.labels(operation, outcome).observe(duration)

    async def _call_once(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        credentials: Credentials | None,
        timeout_s: float,
        clock_is_right: bool = False,
    ) -> dict[str, Any]:
        body = msgspec.json.encode(request)
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{TARGET_PREFIXES[service]}.{operation}",
        }
        headers |= self.sign("POST", self._url, headers, body, credentials, service)
        limits = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._pool.post(
                URL(self._url, encoded=True), data=body, headers=headers, timeout=limits
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{operation}: {type(error).__name__}: {error}") from error
        if self._server_time.observe(response.headers):
            log.warning("clock_differs_from_controller", skew_s=round(self._server_time.skew_s, 1))
            if response.status != 200 and not clock_is_right:
                raise _SignedAtTheWrongTime(operation, "", "", response.status)
        if response.status == 200:
            return _decode_object(operation, content or b"{}")
        code, message = read_error(content, response.headers)
        raise ApiError(operation, code, message, response.status)


class _SignedAtTheWrongTime(ApiError):
    pass


def _decode_object(operation: str, content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Unreachable(f"{operation}: the answer is not a JSON object: {error}") from error


def read_error(content: bytes, headers: Mapping[str, str]) -> tuple[str, str]:
    """Code and message of an error answer, in each form that ECS and its websockets use.

    These are ``{"__type": code, "message": …}``, ``{"type": code, "message": {"message": …}}`` and
    ``{code: text}``.
    """
    code = headers.get("X-Amzn-ErrorType", "")
    try:
        body = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        return _bare_code(code), content[:_MESSAGE_LIMIT].decode(errors="replace")
    if len(body) == 1 and (only := next(iter(body))).endswith("Exception"):
        return only, str(body[only])[:_MESSAGE_LIMIT]
    code = code or str(body.get("__type") or body.get("type") or "")
    message = body.get("message") or body.get("Message") or ""
    if isinstance(message, dict):
        message = message.get("message") or ""
    return _bare_code(code), str(message)[:_MESSAGE_LIMIT]


def _bare_code(code: str) -> str:
    """An error's name without the name space before ``#`` and the URL after ``:``."""
    return code.rpartition("#")[2].partition(":")[0] or "UnknownError"
