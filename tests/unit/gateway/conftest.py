"""A running state, and agents on the other end of a socket that is none."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agent.protocol.clock import Clock
from controller.keyring import Keyring
from controller.roles.issuing import AssumeRole, RoleCredentialsIssuer
from controller.secrets.resolver import SecretsResolver
from controller.secrets.sources import ValueSource
from controller.secrets.store import LocalSecrets
from controller.state.changes import Cause
from controller.state.entities import Entity
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.unit.gateway.samples import definition, instance

OpenState = Callable[[Clock], Awaitable[State]]


@pytest.fixture
async def state(fake_clock: FakeClock, tmp_path: Path) -> AsyncIterator[State]:
    """A running state on fake time that knows an instance and a task definition."""
    opened = await open_state(
        SqliteStore(tmp_path / "state.db", account="000000000000", region="us-east-1"), fake_clock
    )
    flushing = asyncio.create_task(opened.run())
    await put(opened, instance(), definition())
    yield opened
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing
    await opened.close()


async def put(state: State, *entities: Entity) -> None:
    """Store records, durably."""
    with state.transaction(Cause(kind="request", id="test")) as tx:
        for entity in entities:
            tx.put(entity)
    await state.flushed(tx.touched)


def resolver(state: State, aws: ValueSource | None = None) -> SecretsResolver:
    """Resolves what containers name."""
    return SecretsResolver(state, LocalSecrets(Keyring(b"k" * 32)), aws)


def issuer(state: State, clock: Clock, aws: AssumeRole | None = None) -> RoleCredentialsIssuer:
    """Issues credentials that hold for an hour."""
    return RoleCredentialsIssuer(state, Keyring(b"k" * 32), clock, random.Random(1), 3600.0, aws)
