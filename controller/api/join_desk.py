"""`POST /join`: a machine exchanges its join token for credentials. Nobody has signed this call yet."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from aiohttp import web

from agent.protocol.clock import Clock
from agent.protocol.joining import JOIN_PATH, JoinRequest
from controller.api.context import IdSource
from controller.api.errors import ApiError, SerializationException, ServerException
from controller.api.join_tokens import JoinTokens
from controller.state.changes import Cause
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.kernel import State
from controller.state.store.interface import StoreError

log = structlog.get_logger(__name__)

BODY_TIMEOUT_S = 10.0
"""Seconds that a machine may take to send its request."""


class JoinDesk:
    """Answers exchanges."""

    def __init__(self, state: State, tokens: JoinTokens, ids: IdSource, clock: Clock) -> None:
        self._state = state
        self._tokens = tokens
        self._ids = ids
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Where it is reached."""
        return [web.post(JOIN_PATH, self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one exchange, with credentials or with an error in AWS's form."""
        request_id = self._ids.uuid()
        try:
            return web.json_response(body=await self._exchange(request, request_id))
        except ApiError as error:
            log.warning("join_refused", code=error.code, request_id=request_id, address=request.remote)
            return web.json_response({"__type": error.code, "message": error.message}, status=error.status)

    async def _exchange(self, request: web.Request, request_id: str) -> bytes:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await request.read()
        except TimeoutError:
            raise SerializationException("The request did not arrive in time.") from None
        try:
            asked = msgspec.json.decode(body, type=JoinRequest)
        except msgspec.DecodeError:
            # What is wrong with it may show a secret.
            raise SerializationException("The request is not an exchange of a join token.") from None
        transaction = self._state.transaction(
            Cause(kind="request", id=request_id, caller=f"join-token/{asked.token_id[:32]}")
        )
        try:
            with transaction:
                issued = self._tokens.exchange(transaction, asked, self._ids.hex32())
            await self._state.flushed(transaction.touched)
        except (StoreUnavailable, StoreError, TooManyPendingWrites) as error:
            raise ServerException("The controller cannot write at the moment. Try again.") from error
        log.info("machine_joined", instance=issued.container_instance_arn, token=asked.token_id)
        return msgspec.json.encode(issued)
