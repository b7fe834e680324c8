"""Credentials of a task's role on a real connection: an unmodified agent gets them, and they are genuine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol import acs
from agent.protocol.signing import Credentials
from tests.integration.gateway.harness import PATIENCE_S, World, connected, refused, running_world
from tests.unit.gateway.samples import definition, task

LIFETIME_S = 3.0
ROLE = "arn:aws:iam::000000000000:role/worker"


async def answer_to(world: World, given: acs.IAMRoleCredentials) -> str:
    """How the controller answers a connection that is signed with credentials of a role."""
    credentials = Credentials(
        given.access_key_id or "", given.secret_access_key or "", given.session_token or ""
    )
    _, body, _ = await refused(world, world.acs_url(), credentials=credentials)
    (code,) = body
    return str(code)


async def test_an_ecs_agent_gets_credentials_with_the_task_and_new_ones_in_time(tmp_path: Path) -> None:
    async with running_world(tmp_path, role_credentials_lifetime_s=LIFETIME_S) as world:
        await world.put(definition(taskRoleArn=ROLE), task())
        async with connected(world, world.acs_url()) as agent:
            payload = await agent.receive(acs.PayloadMessage)
            await agent.acknowledge(payload)
            first = payload.tasks[0].role_credentials
            assert first is not None
            # Known and genuine, but a task is no agent.
            assert await answer_to(world, first) == "AccessDeniedException"

            message = await agent.receive(acs.IAMRoleCredentialsMessage)
            renewed = message.role_credentials
            assert renewed is not None
            assert (message.task_arn, message.role_type) == (payload.tasks[0].arn, "TaskApplication")
            assert renewed.credentials_id == first.credentials_id
            assert (renewed.expiration or "") > (first.expiration or "")
            assert await answer_to(world, renewed) == "AccessDeniedException"
            async with asyncio.timeout(PATIENCE_S):
                while await answer_to(world, first) != "ExpiredTokenException":
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize("asks", ["true", "false"])
async def test_an_agent_that_reconnects_gets_what_it_lost_and_nothing_that_it_has(
    tmp_path: Path, asks: str
) -> None:
    async with running_world(tmp_path) as world:
        await world.put(definition(taskRoleArn=ROLE), task())
        async with connected(world, world.acs_url()) as agent:
            payload = await agent.receive(acs.PayloadMessage)
            await agent.acknowledge(payload)
            given = payload.tasks[0].role_credentials
            assert given is not None
            await agent.say(
                acs.IAMRoleCredentialsAckRequest(
                    message_id=payload.message_id,
                    credentials_id=given.credentials_id,
                    expiration=given.expiration,
                )
            )
            await agent.receive(acs.HeartbeatMessage)
        await world.put(task(reported_status="RUNNING"))
        async with connected(world, world.acs_url(sendCredentials=asks)) as agent:
            first = agent.decode(await agent.websocket.receive_str())
            if asks == "false":
                assert not isinstance(first, acs.IAMRoleCredentialsMessage)
                return
            assert isinstance(first, acs.IAMRoleCredentialsMessage)
            assert first.role_credentials == given
