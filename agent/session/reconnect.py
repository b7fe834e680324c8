"""Keeping one connection to the controller alive for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import structlog

from agent.protocol.clock import Clock
from agent.session.api import ApiError, Unreachable
from agent.session.backoff import Backoff
from agent.session.urls import BadEndpoint
from agent.session.websocket import ConnectionEnded, UpgradeRefused, Websocket

log = structlog.get_logger(__name__)

SETTLED_AFTER_S = 30.0
"""A connection that held for so long was a good one: the next attempt begins with the shortest wait."""
AGE_LIMIT_S = 30 * 60.0
AGE_JITTER_S = 5 * 60.0


class ConnectionExpired(ConnectionEnded):
    """The connection has reached its age and is exchanged for a fresh one at once."""

    def __init__(self) -> None:
        super().__init__("ConnectionExpired: Reconnect to continue", code=1000)


async def expire(random: Random) -> None:
    """End a connection that has reached its age, so that load balancers and controllers can be exchanged."""
    await asyncio.sleep(AGE_LIMIT_S + random.uniform(0, AGE_JITTER_S))
    raise ConnectionExpired


@asynccontextmanager
async def closed_in_order(socket: Websocket) -> AsyncIterator[None]:
    """Close a websocket at the end, whatever ended it, with the code that ECS's agent gives for it."""
    code, why = 1001, "the agent ends"
    try:
        yield
    except ConnectionExpired as expiry:
        code, why = 1000, str(expiry)
        raise
    finally:
        await socket.close(code, why)


async def stay_connected(
    name: str, connect_and_converse: Callable[[], Awaitable[None]], *, clock: Clock, random: Random
) -> None:
    """Hold conversations one after the other, for ever.

    The wait between two of them grows with every connection that fails or does not hold, so that a controller
    that accepts and drops at once is not hammered.
    """
    backoff = Backoff(random)
    while True:
        began = clock.monotonic()
        try:
            await connect_and_converse()
        except ConnectionExpired:
            log.info("connection_expired", connection=name)
            continue
        except (ConnectionEnded, UpgradeRefused, BadEndpoint, ApiError, Unreachable) as error:
            if clock.monotonic() - began >= SETTLED_AFTER_S:
                backoff.reset()
            wait_s = backoff.next_wait_s()
            log.warning("connection_ended", connection=name, error=str(error), retry_in_s=round(wait_s, 2))
            await asyncio.sleep(wait_s)
