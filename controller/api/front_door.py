"""`POST /`: the one entry of every API call.

A call is verified, authorised, read, handled and answered; the answer leaves when all that it saw or wrote is
durable. Whatever goes wrong is an error in AWS's form.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from agent.protocol.clock import Clock
from controller.api.authentication import Authenticator, SignatureOutOfTime, authorise, denied
from controller.api.context import Caller, IdSource, RequestContext
from controller.api.dispatch import Operation, Service
from controller.api.errors import (
    ApiError,
    ServerException,
    ThrottlingException,
    UnknownOperationException,
)
from controller.api.instance_permissions import HOMEPORT_OPERATIONS, authorise_instance
from controller.api.protocols import WireProtocol, Written, protocol_of
from controller.api.task_permissions import authorise_task
from controller.api.user_permissions import authorise_user
from controller.config import ControllerConfig
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.kernel import State
from controller.state.store.interface import StoreError
from controller.telemetry.metrics import ApiMetrics
from controller.wire.tap import ApiCall, WireTap

log = structlog.get_logger(__name__)

BODY_TIMEOUT_S = 30.0
"""Seconds that a client may take to send its body."""

UNKNOWN = "Unknown"
"""Stands for the operation of calls that name none, so that their metrics stay few."""

SignsOfLife = Callable[[str, str], None]


class RequestTooLarge(ApiError):
    """A body beyond the bound."""

    status = 413


class FrontDoor:
    """Answers API calls."""

    def __init__(
        self,
        *,
        state: State,
        authenticator: Authenticator,
        services: Mapping[str, Service],
        config: ControllerConfig,
        clock: Clock,
        ids: IdSource,
        signs_of_life: SignsOfLife,
        metrics: ApiMetrics,
        wire: WireTap | None = None,
    ) -> None:
        """`wire` shows agents' calls to whoever watches."""
        self._state = state
        self._authenticator = authenticator
        self._services = services
        self._config = config
        self._clock = clock
        self._ids = ids
        self._signs_of_life = signs_of_life
        self._metrics = metrics
        self._wire = wire
        self._in_flight = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call; never raises but when it is cancelled."""
        request_id = self._ids.uuid()
        started = self._clock.monotonic()
        call = _Call(request, request_id)
        try:
            answer = await self._bounded(call)
        except ApiError as error:
            code, response = error.code, _error_response(call, error)
        else:
            code = "OK"
            response = _response(request_id, 200, call.protocol.write(request_id, call.operation, answer))
        duration_s = self._clock.monotonic() - started
        self._metrics.note(call.operation, code, duration_s)
        if self._wire is not None and self._wire.watched:
            await _show(self._wire, call, code, self._clock.now() - duration_s, response)
        log.debug(
            "api_call",
            operation=call.operation,
            code=code,
            request_id=request_id,
            caller=call.caller.arn if call.caller else None,
            duration_ms=round(duration_s * 1000, 2),
        )
        return response

    async def _bounded(self, call: _Call) -> Any:
        body = await self._read(call.request)
        if self._in_flight >= self._config.max_requests_in_flight:
            raise ThrottlingException
        self._in_flight += 1
        try:
            return await self._guarded(call, body)
        finally:
            self._in_flight -= 1

    async def _read(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise RequestTooLarge(
                f"The request body is longer than {self._config.max_body_bytes} bytes.",
                code="RequestEntityTooLargeException",
            ) from None
        except TimeoutError:
            raise ApiError("The request body did not arrive in time.", code="RequestTimeout") from None

    async def _guarded(self, call: _Call, body: bytes) -> Any:
        """The answer to a call; every failure becomes an `ApiError`."""
        try:
            return await self._answer(call, body)
        except ApiError:
            raise
        except (StoreUnavailable, StoreError) as error:
            raise ServerException(
                "The controller's store cannot be used at the moment. Try again later."
            ) from error
        except TooManyPendingWrites as error:
            raise ThrottlingException from error
        except Exception as error:
            # A fault of one handler must not cost the others; its transaction has undone what it put.
            log.exception("api_call_failed", operation=call.operation, request_id=call.request_id)
            raise ServerException(
                f"Internal error; the controller's log tells more under {call.request_id}."
            ) from error

    async def _answer(self, call: _Call, body: bytes) -> Any:
        service, operation = self._recognise(call, body)
        assert call.caller is not None
        context = RequestContext(
            request_id=call.request_id,
            caller=call.caller,
            state=self._state,
            clock=self._clock,
            ids=self._ids,
            config=self._config,
            base_url=_base_url(call.request),
            signs_of_life=self._signs_of_life,
        )
        try:
            request = operation.decode(body)
            _authorise(context, service, operation, request)
            result = operation.handler(context, request)
            answer = await result if inspect.isawaitable(result) else result
        finally:
            # Errors tell what was seen as well: "not found" of a removal that is still to be flushed.
            await self._state.flushed(context.touched)
        return answer

    def _recognise(self, call: _Call, body: bytes) -> tuple[Service, Operation]:
        """Who calls what."""
        request = call.request
        path, _, query = request.raw_path.partition("?")
        verified = self._authenticator.verify(request.headers, request.method, path, query, body)
        call.caller = verified.caller
        service = self._services.get(verified.service)
        if service is None:
            raise UnknownOperationException(
                f"This controller does not serve {verified.service[:64]!r}; "
                f"it serves {', '.join(sorted(self._services))}."
            )
        call.protocol = service.protocol
        operation = service.operation(request.headers, body)
        call.operation = operation.name
        return service, operation


class _Call:
    """What is known of a call so far; errors, metrics and logs use it."""

    __slots__ = ("caller", "operation", "protocol", "request", "request_id")

    def __init__(self, request: web.Request, request_id: str) -> None:
        self.request = request
        self.request_id = request_id
        self.operation = UNKNOWN
        self.caller: Caller | None = None
        self.protocol: WireProtocol = protocol_of(request.content_type)


def _authorise(context: RequestContext, service: Service, operation: Operation, request: Any) -> None:
    if operation.for_everyone or context.caller.role == "administrator":
        return
    if context.caller.role in ("deployer", "viewer"):
        authorise_user(context, service.signing_name, operation.name, request)
        return
    if (
        service.signing_name == "homeport"
        and context.caller.instance
        and operation.name in HOMEPORT_OPERATIONS
    ):
        return
    if service.signing_name != "ecs":
        raise denied(context.caller, f"{service.signing_name}:{operation.name}")
    if context.caller.role == "task":
        authorise_task(context, operation.name, request)
        return
    authorise(context.caller, operation.name, operation.cluster_of(context, request))
    authorise_instance(context, operation.name, request)


async def _show(wire: WireTap, call: _Call, code: str, began_at: float, response: web.Response) -> None:
    if call.caller is not None:
        # Who is known has sent a body that was read, and is kept.
        asked, told = await call.request.read(), response.body
        assert isinstance(told, bytes)
        wire.call(ApiCall(call.request_id, call.caller, call.operation, code, began_at, asked, told))


def _base_url(request: web.Request) -> str:
    """Scheme and host as the client wrote them; a proxy that ends TLS says so in its header."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme if scheme in ('http', 'https') else request.scheme}://{request.host}"


def _error_response(call: _Call, error: ApiError) -> web.Response:
    log.info(
        "api_call_refused",
        operation=call.operation,
        code=error.code,
        message=error.message,
        request_id=call.request_id,
        caller=call.caller.arn if call.caller else None,
    )
    if isinstance(error, SignatureOutOfTime):
        log.warning("clock_skew", caller=error.caller.arn, skew_s=round(error.skew_s, 1))
    return _response(call.request_id, error.status, call.protocol.write_error(call.request_id, error))


def _response(request_id: str, status: int, written: Written) -> web.Response:
    headers = {"x-amzn-RequestId": request_id, "Content-Type": written.content_type, **written.headers}
    return web.Response(status=status, body=written.body, headers=headers)
