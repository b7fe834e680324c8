"""What an agent is told of secrets over its connection, and what it is not told, on fake time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from agent.protocol.extensions import HelloMessage, TaskSecretsAnswer, TaskSecretsRequest
from controller.gateway.acs_session import AcsSession
from controller.gateway.acs_writer import MAX_SECRETS_ANSWERS
from controller.gateway.secrets_desk import AT_A_TIME, NOT_ITS_TASK, PATIENCE_S
from controller.gateway.socket import AgentSocket
from controller.keyring import Keyring
from controller.secrets.references import Reference
from controller.secrets.sources import RegistryLogin, ValueNotAvailable
from controller.secrets.store import LocalSecrets
from controller.state.changes import Cause
from controller.state.entities import Document
from controller.state.kernel import State
from tests.support.clock import FakeClock
from tests.unit.gateway.conftest import acs_parts, put
from tests.unit.gateway.peer import Peer
from tests.unit.gateway.samples import arn, container, definition, instance, task

ASM = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
PULL = "unable to pull secrets or registry auth: execution resource retrieval failed: "
FROM_SSM = f"{PULL}unable to retrieve secrets from ssm: "
FROM_ASM = f"{PULL}unable to retrieve secret from asm: "


class Aws:
    """AWS as the test sets it: values by what is asked for."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.failure: ValueNotAvailable | None = None
        self.asked: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def parameter(self, reference: Reference) -> str:
        return await self._value(reference.given)

    async def secret(self, reference: Reference) -> str:
        return await self._value(reference.arn)

    async def object(self, reference: Reference) -> str:
        return await self._value(f"{reference.bucket}/{reference.name}")

    async def ecr_login(self, registry_id: str, region: str) -> RegistryLogin:
        return RegistryLogin("AWS", await self._value(f"{registry_id} {region}"), 1_000.0)

    async def _value(self, key: str) -> str:
        self.asked.append(key)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.answers.wait()
        self.under_way -= 1
        if self.failure is not None:
            raise self.failure
        if key not in self.values:
            raise ValueNotAvailable(f"nothing of the name {key}")
        return self.values[key]


class Agent:
    """Asks over a connection."""

    def __init__(self, peer: Peer, state: State) -> None:
        self.peer = peer
        self.state = state
        self.number = 0

    async def ask(self, *containers: str, task_arn: str | None = None) -> TaskSecretsAnswer:
        self.request(*containers, task_arn=task_arn)
        await asyncio.sleep(0.02)
        (answer,) = [a for a in self.answers() if a.request_id == f"request-{self.number}"]
        return answer

    def request(self, *containers: str, task_arn: str | None = None) -> None:
        self.number += 1
        self.peer.say(
            TaskSecretsRequest(
                request_id=f"request-{self.number}",
                task_arn=task_arn or arn(1),
                containers=containers or ("app",),
            )
        )

    def answers(self) -> list[TaskSecretsAnswer]:
        return self.peer.all(TaskSecretsAnswer)


def keep(state: State, name: str, *values: str) -> None:
    """Keep a secret in the controller's own store, with all its versions."""
    secrets = LocalSecrets(Keyring(b"k" * 32))
    for number, value in enumerate(values):
        with state.transaction(Cause(kind="start")) as transaction:
            secrets.put(transaction, name, value, f"v{number}")


Open = Callable[..., Any]


@pytest.fixture
async def open_agent(state: State, fake_clock: FakeClock, tmp_path: Path) -> AsyncIterator[Open]:
    """An agent whose instance runs a task of the given containers."""
    running: list[asyncio.Task[None]] = []

    async def open_(*containers: Document, aws: Aws | None = None) -> Agent:
        await put(state, definition(*containers), task())
        parts = acs_parts(state, fake_clock, tmp_path, values=aws)
        peer = Peer()
        session = AcsSession(parts, instance(), cast("AgentSocket", peer), extended=True)
        running.append(asyncio.create_task(session.run()))
        await asyncio.sleep(0.01)
        return Agent(peer, state)

    yield open_
    for conversation in running:
        conversation.cancel()
        with suppress(asyncio.CancelledError):
            await conversation


async def test_the_hello_says_that_secrets_are_resolved(open_agent: Open) -> None:
    agent = await open_agent(container())
    (hello,) = agent.peer.all(HelloMessage)
    assert hello.resolves_secrets


async def test_own_secrets_are_found_by_name_by_arn_and_by_key(state: State, open_agent: Open) -> None:
    keep(state, "db", '{"user":"u1","port":5432}', '{"user":"u2","port":5433}')
    keep(state, "/plain", "text")
    agent = await open_agent(
        container(
            secrets=[
                {"name": "NAME", "valueFrom": "plain"},
                {"name": "SLASH", "valueFrom": "/plain"},
                {"name": "SSM", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/plain"},
                {"name": "WHOLE", "valueFrom": f"{ASM}db"},
                {"name": "USER", "valueFrom": f"{ASM}db:user::"},
                {"name": "PORT", "valueFrom": f"{ASM}db:port::"},
                {"name": "BEFORE", "valueFrom": f"{ASM}db:user:AWSPREVIOUS:"},
                {"name": "FIRST", "valueFrom": f"{ASM}db:user::v0"},
            ],
            logConfiguration={
                "logDriver": "splunk",
                "secretOptions": [{"name": "splunk-token", "valueFrom": "plain"}],
            },
        )
    )
    answer = await agent.ask()
    assert not answer.error
    (found,) = answer.containers
    assert found.secrets == {
        "NAME": "text",
        "SLASH": "text",
        "SSM": "text",
        "WHOLE": '{"user":"u2","port":5433}',
        "USER": "u2",
        "PORT": "5433",
        "BEFORE": "u1",
        "FIRST": "u1",
    }
    assert found.log_options == {"splunk-token": "text"}
    assert "text" not in repr(answer)


async def test_environment_files_can_be_own_secrets(state: State, open_agent: Open) -> None:
    keep(state, "first.env", "A=1\nB=1")
    keep(state, "team/second.env", "B=2\nC=2")
    files = [
        {"value": f"arn:aws:s3:::homeport/{name}", "type": "s3"} for name in ("first.env", "team/second.env")
    ]
    agent = await open_agent(container(environmentFiles=files))
    (found,) = (await agent.ask()).containers
    assert found.environment_files == {"A": "1", "B": "1", "C": "2"}


@pytest.mark.parametrize("parameter", ["registry", f"{ASM}registry"])
async def test_a_registry_login_is_a_secret_with_two_members(
    state: State, open_agent: Open, parameter: str
) -> None:
    keep(state, "registry", '{"username":"puller","password":"pass word"}')
    agent = await open_agent(container(repositoryCredentials={"credentialsParameter": parameter}))
    (found,) = (await agent.ask()).containers
    assert (found.registry_username, found.registry_password) == ("puller", "pass word")
    assert found.registry_expires_at is None


@pytest.mark.parametrize(
    ("members", "error"),
    [
        (
            {"secrets": [{"name": "A", "valueFrom": "missing"}]},
            f"{FROM_SSM}Invalid ssm parameters: missing",
        ),
        (
            {"secrets": [{"name": "A", "valueFrom": f"{ASM}missing:key::"}]},
            f"{FROM_ASM}failed to fetch secret {ASM}missing from secrets manager: "
            "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        ),
        (
            {"secrets": [{"name": "A", "valueFrom": f"{ASM}db:nothing::"}]},
            f"{FROM_ASM}retrieved secret from Secrets Manager did not contain json key nothing",
        ),
        (
            {"secrets": [{"name": "A", "valueFrom": f"{ASM}plain:key::"}]},
            f"{FROM_ASM}the secret is not a JSON object",
        ),
        (
            {"secrets": [{"name": "A", "valueFrom": f"{ASM}db::AWSPENDING:"}]},
            f"{FROM_ASM}ResourceNotFoundException: Secrets Manager can't find the "
            f"specified secret value for VersionId: -, staging label: AWSPENDING, of {ASM}db",
        ),
        (
            {"secrets": [{"name": "A", "valueFrom": "arn:aws:ssm:eu-west-1:111122223333:parameter/a"}]},
            f"{FROM_SSM}arn:aws:ssm:eu-west-1:111122223333:parameter/a is AWS's "
            "to give, and this controller has no AWS profile",
        ),
        (
            {"environmentFiles": [{"value": "arn:aws:s3:::homeport/no.env", "type": "s3"}]},
            "failed to download env files: NoSuchKey: The specified key does not exist: "
            "arn:aws:s3:::homeport/no.env",
        ),
        (
            {"repositoryCredentials": {"credentialsParameter": f"{ASM}db"}},
            f"{PULL}unable to get registry auth from asm: the secret {ASM}db lacks username or password",
        ),
    ],
)
async def test_what_is_missing_is_told_in_ecs_words(
    state: State, open_agent: Open, members: Document, error: str
) -> None:
    keep(state, "db", '{"user":"hush"}')
    keep(state, "plain", "hush")
    agent = await open_agent(container(**members))
    answer = await agent.ask()
    assert answer.error.startswith(error)
    assert (answer.containers, answer.again) == ((), False)
    assert "hush" not in answer.error


async def test_only_the_containers_that_were_asked_about_are_told(state: State, open_agent: Open) -> None:
    keep(state, "a", "one")
    keep(state, "b", "two")
    agent = await open_agent(
        container(name="app", secrets=[{"name": "A", "valueFrom": "a"}]),
        container(name="side", secrets=[{"name": "B", "valueFrom": "b"}]),
    )
    assert [found.name for found in (await agent.ask("side")).containers] == ["side"]
    assert [found.name for found in (await agent.ask("app", "side", "nobody")).containers] == ["app", "side"]


@pytest.mark.parametrize("whose", ["another instance's", "a stopped", "an unknown", "another cluster's"])
async def test_no_other_task_is_told_about(state: State, open_agent: Open, whose: str) -> None:
    keep(state, "a", "hush")
    agent = await open_agent(container(secrets=[{"name": "A", "valueFrom": "a"}]))
    asked = arn(2)
    if whose == "another instance's":
        await put(state, instance(2), task(2, instance=f"{2:032x}"))
    elif whose == "a stopped":
        await put(state, task(2, desired_status="STOPPED"))
    elif whose == "another cluster's":
        asked = arn(1).replace("/default/", "/other/")
    answer = await agent.ask(task_arn=asked)
    assert (answer.error, answer.containers) == (NOT_ITS_TASK, ())


async def test_overridden_environment_files_are_the_ones_that_count(state: State, open_agent: Open) -> None:
    keep(state, "mine.env", "A=mine")
    files = [{"value": "arn:aws:s3:::homeport/other.env", "type": "s3"}]
    mine = [{"value": "arn:aws:s3:::homeport/mine.env", "type": "s3"}]
    agent = await open_agent(container(environmentFiles=files))
    overrides = {"containerOverrides": [{"name": "app", "environmentFiles": mine}]}
    await put(state, task(options={"overrides": overrides}))
    (found,) = (await agent.ask()).containers
    assert found.environment_files == {"A": "mine"}


async def test_aws_gives_what_is_not_kept_here(state: State, open_agent: Open) -> None:
    keep(state, "own", "from here")
    aws = Aws()
    aws.values = {
        "own": "from AWS",
        "/theirs": "parameter",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf": '{"user":"u"}',
        "bucket/web.env": "A=1",
        "123456789012 eu-west-1": "token",
    }
    agent = await open_agent(
        container(
            image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1",
            environmentFiles=[{"value": "arn:aws:s3:::bucket/web.env", "type": "s3"}],
            secrets=[
                {"name": "OWN", "valueFrom": "own"},
                {"name": "THEIRS", "valueFrom": "/theirs"},
                {
                    "name": "USER",
                    "valueFrom": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf:user::",
                },
            ],
        ),
        aws=aws,
    )
    (found,) = (await agent.ask()).containers
    assert found.secrets == {"OWN": "from here", "THEIRS": "parameter", "USER": "u"}
    assert found.environment_files == {"A": "1"}
    assert (found.registry_username, found.registry_password) == ("AWS", "token")
    assert found.registry_expires_at == 1_000.0
    assert "own" not in aws.asked


async def test_an_image_of_ecr_without_a_profile_is_pulled_as_nobody(open_agent: Open) -> None:
    agent = await open_agent(container(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1"))
    (found,) = (await agent.ask()).containers
    assert (found.registry_username, found.registry_password) == ("", "")


async def test_what_may_pass_is_told_as_worth_another_attempt(open_agent: Open) -> None:
    aws = Aws()
    aws.failure = ValueNotAvailable("ThrottlingException: Rate exceeded", again=True)
    agent = await open_agent(container(secrets=[{"name": "A", "valueFrom": "a"}]), aws=aws)
    answer = await agent.ask()
    assert answer.again
    assert answer.error == f"{FROM_SSM}ThrottlingException: Rate exceeded"


async def test_aws_that_does_not_answer_keeps_nobody_waiting_for_ever(open_agent: Open) -> None:
    aws = Aws()
    aws.answers.clear()
    agent = await open_agent(container(secrets=[{"name": "A", "valueFrom": "a"}]), aws=aws)
    agent.request()
    await asyncio.sleep(PATIENCE_S + 1)
    (answer,) = agent.answers()
    assert answer.again
    assert "no answer within" in answer.error


async def test_an_agent_that_asks_for_much_is_answered_a_few_at_a_time(
    state: State, open_agent: Open
) -> None:
    aws = Aws()
    aws.values = {"a": "value"}
    aws.answers.clear()
    agent = await open_agent(container(secrets=[{"name": "A", "valueFrom": "a"}]), aws=aws)
    for _ in range(40):
        agent.request()
    await asyncio.sleep(0.01)
    assert aws.most_under_way == AT_A_TIME
    aws.answers.set()
    await asyncio.sleep(0.05)
    assert len(agent.answers()) == 40
    assert not agent.peer.was_cut


async def test_an_agent_that_does_not_read_gets_no_answers_made_for_it(
    state: State, open_agent: Open
) -> None:
    aws = Aws()
    aws.values = {"a": "value"}
    agent = await open_agent(container(secrets=[{"name": "A", "valueFrom": "a"}]), aws=aws)
    agent.peer.reads.clear()
    for _ in range(40):
        agent.request()
    await asyncio.sleep(0.05)
    assert len(aws.asked) <= AT_A_TIME + MAX_SECRETS_ANSWERS + 1
    agent.peer.reads.set()
    await asyncio.sleep(0.05)
    assert len(agent.answers()) == 40


def test_the_wire_form_leaves_out_what_is_empty() -> None:
    answer = TaskSecretsAnswer(request_id="r")
    assert msgspec.json.encode(answer) == b'{"requestId":"r"}'
