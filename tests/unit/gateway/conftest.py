"""A running state, and agents on the other end of a socket that is none."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agent.protocol.clock import Clock
from controller.config import ControllerConfig
from controller.gateway.acs_writer import AcsParts, MessageNumbers
from controller.gateway.contacts import Contacts
from controller.gateway.payload import Payloads
from controller.gateway.reconciler import Reconciler
from controller.gateway.role_credentials import CredentialsOfInstances
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

KEYRING = Keyring(b"k" * 32)

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


def acs_parts(
    state: State,
    clock: Clock,
    folder: Path,
    *,
    roles: AssumeRole | None = None,
    values: ValueSource | None = None,
) -> AcsParts:
    """What a gateway gives its ACS sessions; `roles` and `values` stand for AWS. Credentials hold for an
    hour."""
    return AcsParts(
        state=state,
        clock=clock,
        config=ControllerConfig(data_dir=folder),
        contacts=Contacts(state, clock, 3.0),
        payloads=Payloads(state.names),
        numbers=MessageNumbers(state.meta.epoch),
        reconciler=Reconciler(state),
        credentials=CredentialsOfInstances(state, issuer(state, clock, roles), clock),
        secrets=SecretsResolver(state, LocalSecrets(KEYRING), values),
    )


def issuer(state: State, clock: Clock, roles: AssumeRole | None = None) -> RoleCredentialsIssuer:
    """Issues credentials that hold for an hour."""
    return RoleCredentialsIssuer(state, KEYRING, clock, random.Random(1), 3600.0, roles)
