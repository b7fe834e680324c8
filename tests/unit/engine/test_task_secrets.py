"""The values of containers in the agent: who wins over whom, what is asked when, and what is never shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from agent.engine.book import TaskRecord
from agent.engine.definition import plan_task
from agent.engine.errors import ResourceInitializationError
from agent.engine.refusals import refusal
from agent.engine.registry_credentials import RegistryCredentials
from agent.engine.states import (
    CreateFailed,
    Observed,
    PullFailed,
    Started,
    StartFailed,
    Status,
    StopFailed,
)
from agent.engine.task_secrets import NoSecrets, SecretsUnavailableError, TaskSecrets, with_values
from agent.engine.transitions import initial_state
from agent.protocol import acs
from agent.protocol.extensions import ContainerSecrets
from tests.support.clock import FakeClock
from tests.unit.engine.builders import inspection

ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef"
SECRET = acs.Secret(name="A", value_from="a", provider="ssm", target="CONTAINER")


class Source:
    """Whom the values are asked of, with answers that the test sets."""

    def __init__(self, *values: ContainerSecrets, error: str = "") -> None:
        self.values = {each.name: each for each in values}
        self.error = error
        self.asked: list[tuple[str, ...]] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def resolve(self, task_arn: str, containers: Sequence[str]) -> Sequence[ContainerSecrets]:
        assert task_arn == ARN
        self.asked.append(tuple(containers))
        await self.answers.wait()
        if self.error:
            raise SecretsUnavailableError(self.error)
        return [self.values[name] for name in containers if name in self.values]


def nobody(_reason: str) -> None:
    """Is told what takes long, and does not listen."""


def record(*containers: acs.Container) -> TaskRecord:
    task = acs.Task(arn=ARN, family="web", version="1", containers=containers)
    plan = plan_task(task, 30.0, lambda: "0" * 20)
    return TaskRecord(task, plan, initial_state(plan))


def container(name: str = "app", **members: Any) -> acs.Container:
    return acs.Container(name=name, image="busybox", essential=True, **members)


def test_what_names_values_is_no_longer_refused() -> None:
    task = record(
        container(
            secrets=(SECRET,),
            environment_files=(acs.EnvironmentFile(value="arn:aws:s3:::b/x.env", type="s3"),),
            registry_authentication=acs.RegistryAuthenticationData(type="asm"),
        )
    ).definition
    assert refusal(task) == ""


def test_secrets_win_over_the_definition_and_that_over_files() -> None:
    definition = container(environment={"DEFINED": "definition", "BOTH": "definition"})
    values = ContainerSecrets(
        name="app",
        secrets={"SECRET": "secret", "BOTH": "secret"},
        environment_files={"DEFINED": "file", "FILE": "file", "SECRET": "file"},
    )
    assert with_values(definition, values).environment == {
        "DEFINED": "definition",
        "FILE": "file",
        "SECRET": "secret",
        "BOTH": "secret",
    }


def test_log_options_join_those_of_the_definition() -> None:
    host_config = msgspec.json.encode(
        {"NetworkMode": "bridge", "LogConfig": {"Type": "splunk", "Config": {"splunk-url": "https://x"}}}
    ).decode()
    definition = container(docker_config=acs.DockerConfig(config="{}", host_config=host_config))
    changed = with_values(definition, ContainerSecrets(name="app", log_options={"splunk-token": "t"}))
    assert changed.docker_config is not None
    assert changed.docker_config.config == "{}"
    assert msgspec.json.decode(changed.docker_config.host_config or "") == {
        "NetworkMode": "bridge",
        "LogConfig": {"Type": "splunk", "Config": {"splunk-url": "https://x", "splunk-token": "t"}},
    }


async def test_only_containers_that_need_values_and_are_still_to_be_made_are_asked_about() -> None:
    source = Source(ContainerSecrets(name="new"))
    secrets = TaskSecrets(source, FakeClock())
    task = record(
        container("made", secrets=(SECRET,)), container("plain"), container("new", secrets=(SECRET,))
    )
    made = msgspec.structs.replace(task.state.containers[0], known=Status.CREATED)
    task.state = task.state.with_container(0, made)
    await secrets.prepare(task, nobody)
    assert source.asked == [("new",)]
    await TaskSecrets(source, FakeClock()).prepare(record(container("plain")), nobody)
    assert source.asked == [("new",)]


async def test_the_definition_that_is_kept_stays_without_values() -> None:
    secrets = TaskSecrets(Source(ContainerSecrets(name="app", secrets={"A": "hush"})), FakeClock())
    task = record(container(secrets=(SECRET,)))
    await secrets.prepare(task, nobody)
    assert secrets.applied(task, "app").environment == {"A": "hush"}
    assert b"hush" not in msgspec.json.encode((task.definition, task.plan, task.state))
    secrets.forget(ARN)
    assert not secrets.applied(task, "app").environment


async def test_a_refusal_is_the_reason_that_the_task_stops_with() -> None:
    secrets = TaskSecrets(Source(error="unable to pull secrets or registry auth: no"), FakeClock())
    with pytest.raises(ResourceInitializationError) as caught:
        await secrets.prepare(record(container(secrets=(SECRET,))), nobody)
    assert caught.value.reason == ("ResourceInitializationError: unable to pull secrets or registry auth: no")


async def test_an_answer_that_leaves_a_container_out_is_a_refusal() -> None:
    with pytest.raises(ResourceInitializationError, match="leaves out the containers app"):
        await TaskSecrets(Source(), FakeClock()).prepare(record(container(secrets=(SECRET,))), nobody)


async def test_without_anybody_to_ask_the_reason_says_so() -> None:
    with pytest.raises(ResourceInitializationError, match="nobody to ask for the secrets of containers app"):
        await TaskSecrets(NoSecrets(), FakeClock()).prepare(record(container(secrets=(SECRET,))), nobody)


async def test_nobody_asks_on_for_a_task_that_has_ended() -> None:
    source = Source()
    source.answers.clear()
    secrets = TaskSecrets(source, FakeClock())
    preparing = asyncio.create_task(secrets.prepare(record(container(secrets=(SECRET,))), nobody))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    secrets.forget(ARN)
    with pytest.raises(ResourceInitializationError, match="the task ended before its secrets came"):
        await preparing


async def test_a_registry_login_is_asked_for_again_once_it_has_run_out() -> None:
    clock = FakeClock()
    auth = acs.RegistryAuthenticationData(type="ecr")
    login = ContainerSecrets(
        name="app", registry_username="AWS", registry_password="one", registry_expires_at=clock.now() + 600
    )
    source = Source(login)
    secrets = TaskSecrets(source, clock)
    task = record(container(registry_authentication=auth))
    await secrets.prepare(task, nobody)
    assert await secrets.login(task, "app") == RegistryCredentials("AWS", "one")
    source.values["app"] = msgspec.structs.replace(
        login, registry_password="two", registry_expires_at=clock.now() + 9000
    )
    clock.advance(590)
    assert await secrets.login(task, "app") == RegistryCredentials("AWS", "two")
    assert len(source.asked) == 2


async def test_a_container_without_a_login_is_pulled_as_nobody() -> None:
    secrets = TaskSecrets(Source(ContainerSecrets(name="app")), FakeClock())
    task = record(container(secrets=(SECRET,)))
    assert await secrets.login(task, "app") is None
    await secrets.prepare(task, nobody)
    assert await secrets.login(task, "app") is None


async def test_what_the_engine_quotes_of_a_value_is_hidden() -> None:
    values = ContainerSecrets(name="app", secrets={"A": "hush-hush"}, log_options={"max-size": "hush"})
    secrets = TaskSecrets(Source(values), FakeClock())
    task = record(container(secrets=(SECRET,)))
    await secrets.prepare(task, nobody)
    said, hidden = "invalid option hush: A=hush-hush, 1", "invalid option (hidden): A=(hidden), 1"
    seen = inspection("app", "STOPPED", error=said)
    for kind in (PullFailed, CreateFailed, StartFailed, StopFailed):
        failed = kind(at=1.0, container="app", reason=said)
        assert secrets.hidden(task, failed) == kind(at=1.0, container="app", reason=hidden)
    observed = secrets.hidden(task, Observed(at=1.0, container="app", inspection=seen))
    assert isinstance(observed, Observed)
    assert observed.inspection == msgspec.structs.replace(seen, error=hidden)
    started = Started(at=1.0, container="app", docker_id="hush")
    assert secrets.hidden(task, started) is started


@pytest.mark.fake_loop
async def test_people_are_told_what_a_task_waits_for() -> None:
    source = Source(ContainerSecrets(name="app"))
    source.answers.clear()
    told: list[str] = []
    secrets = TaskSecrets(source, FakeClock())
    preparing = asyncio.create_task(secrets.prepare(record(container(secrets=(SECRET,))), told.append))
    await asyncio.sleep(60)
    assert told == ["waits for the controller to tell the secrets of app"]
    source.answers.set()
    await preparing
