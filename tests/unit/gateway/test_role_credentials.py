"""Credentials of tasks' roles over an agent's connections, on fake time: with the task, renewed, asked for
again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from agent.protocol import acs
from agent.protocol.extensions import TaskInventoryMessage
from controller.gateway.acs_session import AcsSession
from controller.gateway.acs_writer import AcsParts
from controller.gateway.role_credentials import RETRY_S
from controller.gateway.socket import AgentSocket
from controller.keyring import Keyring
from controller.roles import tokens
from controller.roles.issuing import AssumedCredentials, CannotAssumeRole, RoleType
from controller.state.entities import Task, TaskRole
from controller.state.kernel import State
from tests.support.clock import FakeClock
from tests.unit.gateway.conftest import acs_parts, issuer, put
from tests.unit.gateway.peer import Peer
from tests.unit.gateway.samples import arn, definition, instance, task
from tests.unit.gateway.test_fullsync import entry

TASK_ROLE = "arn:aws:iam::000000000000:role/team/worker"
EXECUTION_ROLE = "arn:aws:iam::000000000000:role/execution"
HALF_LIFE_S = 1800.0

Connect = Callable[..., Awaitable[Peer]]


class Aws:
    """AWS's answer to AssumeRole, as the test sets it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str]] = []
        self.answers = asyncio.Event()
        self.failure: CannotAssumeRole | None = None

    async def assume(self, role_arn: str, session: str) -> AssumedCredentials:
        self.asked.append((role_arn, session))
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return AssumedCredentials(
            f"ASIA{len(self.asked)}", "aws-secret", "aws-token", self.clock.now() + 3600.0
        )


@pytest.fixture
def aws(fake_clock: FakeClock) -> Aws:
    """AWS, of which nothing is asked unless a role is tied to one of its own."""
    return Aws(fake_clock)


@pytest.fixture
async def parts(state: State, fake_clock: FakeClock, tmp_path: Path, aws: Aws) -> AsyncIterator[AcsParts]:
    """What a gateway gives its sessions; the task's definition has both roles."""
    base = definition()
    roles = {"taskRoleArn": TASK_ROLE, "executionRoleArn": EXECUTION_ROLE}
    await put(state, msgspec.structs.replace(base, document=base.document | roles))
    parts = acs_parts(state, fake_clock, tmp_path, roles=aws)
    yield parts
    await parts.credentials.close()


@pytest.fixture
async def connect(parts: AcsParts) -> AsyncIterator[Connect]:
    """Connect the agent, in place of its connection before."""
    running: list[asyncio.Task[None]] = []

    async def connect_(*, extended: bool = False, lost: bool = True) -> Peer:
        await end()
        peer = Peer()
        session = AcsSession(
            parts, instance(), cast("AgentSocket", peer), extended=extended, lost_credentials=lost
        )
        parts.state.subscribe(lambda _: session.wake())
        running.append(asyncio.create_task(session.run()))
        await settle()
        return peer

    async def end() -> None:
        for conversation in running:
            conversation.cancel()
            with suppress(asyncio.CancelledError):
                await conversation
        running.clear()

    yield connect_
    await end()


async def settle() -> None:
    """Let everything happen that happens at once; flushes included."""
    await asyncio.sleep(0.01)


def credentials(peer: Peer) -> list[acs.IAMRoleCredentials]:
    """The credentials that the agent was sent in messages of their own."""
    found = [message.role_credentials for message in peer.all(acs.IAMRoleCredentialsMessage)]
    return [each for each in found if each is not None]


def sent_task(peer: Peer) -> acs.Task:
    (sent,) = peer.all(acs.PayloadMessage)[0].tasks
    return sent


def acknowledge(peer: Peer, given: acs.IAMRoleCredentials) -> None:
    peer.say(
        acs.IAMRoleCredentialsAckRequest(
            message_id="any", expiration=given.expiration, credentials_id=given.credentials_id
        )
    )


async def test_a_task_comes_with_the_credentials_of_both_its_roles(state: State, connect: Connect) -> None:
    await put(state, task())
    peer = await connect()
    sent = sent_task(peer)
    own, execution = sent.role_credentials, sent.execution_role_credentials
    assert own is not None
    assert execution is not None
    assert (own.role_arn, execution.role_arn) == (TASK_ROLE, EXECUTION_ROLE)
    assert own.credentials_id != execution.credentials_id
    session = tokens.open_token(Keyring(b"k" * 32), own.access_key_id or "", own.session_token or "")
    assert (session.role, session.cluster, session.task) == ("worker", "default", task().id)
    assert session.secret_access_key == own.secret_access_key
    assert not credentials(peer)


async def test_an_id_outlives_the_controller_and_differs_by_task_and_role(
    state: State, fake_clock: FakeClock
) -> None:
    def id_of(number: int, type_: RoleType) -> str | None:
        issued = issuer(state, fake_clock).issue(task(number), type_, TASK_ROLE)
        assert issued is not None
        return issued.credentials.credentials_id

    assert id_of(1, "TaskApplication") == id_of(1, "TaskApplication")
    assert len({id_of(1, "TaskApplication"), id_of(2, "TaskApplication"), id_of(1, "TaskExecution")}) == 3


async def test_a_stop_carries_no_credentials(state: State, connect: Connect) -> None:
    await put(state, task(desired_status="STOPPED", reported_status="RUNNING"))
    sent = sent_task(await connect())
    assert (sent.desired_status, sent.role_credentials, sent.execution_role_credentials) == (
        *("STOPPED", None, None),
    )


async def test_an_overridden_role_is_the_one_that_counts(state: State, connect: Connect) -> None:
    role = "arn:aws:iam::000000000000:role/other"
    await put(state, task(options={"overrides": {"taskRoleArn": role}}))
    sent = sent_task(await connect())
    assert sent.role_credentials is not None
    assert sent.role_credentials.role_arn == role
    assert sent.execution_role_credentials is not None
    assert sent.execution_role_credentials.role_arn == EXECUTION_ROLE


async def test_at_half_of_their_life_credentials_are_renewed_under_their_id(
    state: State, connect: Connect
) -> None:
    await put(state, task())
    peer = await connect()
    first = sent_task(peer).role_credentials
    assert first is not None
    peer.acknowledge(peer.all(acs.PayloadMessage)[0])
    await put(state, task(reported_status="RUNNING"))
    await asyncio.sleep(HALF_LIFE_S - 1)
    assert not credentials(peer)
    await asyncio.sleep(3)
    renewed, _ = credentials(peer)
    assert renewed.credentials_id == first.credentials_id
    assert renewed.access_key_id != first.access_key_id
    assert (renewed.expiration or "") > (first.expiration or "")
    (message, other) = peer.all(acs.IAMRoleCredentialsMessage)
    assert (message.role_type, other.role_type) == ("TaskApplication", "TaskExecution")
    assert message.task_arn == arn(1)
    await asyncio.sleep(HALF_LIFE_S + 3)
    assert len(credentials(peer)) == 4


async def test_an_agent_that_started_anew_gets_all_credentials_again_before_anything_else(
    state: State, connect: Connect
) -> None:
    await put(state, task(reported_status="RUNNING"), task(2))
    peer = await connect(lost=True)
    kinds = [type(message).__name__ for _, message in peer.sent]
    assert kinds[:2] == ["IAMRoleCredentialsMessage", "IAMRoleCredentialsMessage"]
    for given in credentials(peer):
        acknowledge(peer, given)
    await settle()
    again = await connect(lost=True)
    assert [given.access_key_id for given in credentials(again)][:2] == [
        given.access_key_id for given in credentials(peer)
    ]


async def test_our_agent_gets_them_once_it_has_told_its_tasks(state: State, connect: Connect) -> None:
    await put(state, task())
    peer = await connect(extended=True)
    assert not credentials(peer)
    peer.say(TaskInventoryMessage(tasks=(entry(1),)))
    await settle()
    assert len(credentials(peer)) == 2
    assert not peer.all(acs.PayloadMessage)


async def test_what_was_acknowledged_is_not_sent_again_to_an_agent_that_only_reconnects(
    state: State, connect: Connect
) -> None:
    await put(state, task(reported_status="RUNNING"))
    peer = await connect()
    own, execution = credentials(peer)
    acknowledge(peer, own)
    await settle()
    again = await connect(lost=False)
    assert [given.credentials_id for given in credentials(again)] == [execution.credentials_id]


async def test_credentials_of_a_stopped_task_are_not_renewed(state: State, connect: Connect) -> None:
    await put(state, task(reported_status="RUNNING"))
    peer = await connect()
    await put(state, task(desired_status="STOPPED", reported_status="STOPPED"))
    await asyncio.sleep(2 * HALF_LIFE_S)
    assert len(credentials(peer)) == 2


async def tie_to_aws(state: State) -> None:
    await put(
        state,
        TaskRole(name="worker", assumed_arn="arn:aws:iam::123456789012:role/real", changed_at=0.0),
    )


async def test_a_task_with_a_role_of_aws_waits_until_aws_has_answered(
    state: State, connect: Connect, aws: Aws
) -> None:
    await tie_to_aws(state)
    await put(state, task())
    peer = await connect()
    await asyncio.sleep(5)
    assert not peer.all(acs.PayloadMessage)
    assert peer.times(acs.HeartbeatMessage)
    assert aws.asked == [("arn:aws:iam::123456789012:role/real", task().id)]
    aws.answers.set()
    await settle()
    given = sent_task(peer).role_credentials
    assert given is not None
    assert (given.role_arn, given.secret_access_key) == (TASK_ROLE, "aws-secret")


async def test_a_role_that_aws_refuses_stops_the_task_with_ecs_words(
    state: State, connect: Connect, aws: Aws
) -> None:
    await tie_to_aws(state)
    aws.failure = CannotAssumeRole("AccessDenied: no", final=True)
    aws.answers.set()
    await put(state, task())
    peer = await connect()
    stored: Any = state.read().get(Task, task().key)
    assert (stored.desired_status, stored.stop_code) == ("STOPPED", "TaskFailedToStart")
    assert stored.stopped_reason.startswith(
        f"ECS was unable to assume the role '{TASK_ROLE}' that was provided"
    )
    assert stored.stopped_reason.endswith("AccessDenied: no")
    await settle()
    assert sent_task(peer).desired_status == "STOPPED"


async def test_without_a_profile_a_role_of_aws_stops_the_task_and_says_what_to_do(
    state: State, fake_clock: FakeClock
) -> None:
    await tie_to_aws(state)
    with pytest.raises(CannotAssumeRole, match="start it with --aws-profile") as caught:
        await issuer(state, fake_clock).assume(task(), "TaskApplication", TASK_ROLE)
    assert caught.value.final


async def test_aws_is_asked_again_when_it_could_not_be_reached(
    state: State, connect: Connect, aws: Aws
) -> None:
    await tie_to_aws(state)
    aws.failure = CannotAssumeRole("timed out", final=False)
    aws.answers.set()
    await put(state, task())
    peer = await connect()
    stored: Any = state.read().get(Task, task().key)
    assert "timed out" in stored.pending_reason
    aws.failure = None
    await asyncio.sleep(RETRY_S + 5)
    assert sent_task(peer).role_credentials is not None
    assert len(aws.asked) == 2
