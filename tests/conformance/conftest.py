"""A real controller process, and the official clients that call it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest

from controller.keyring import ClientProfile, load_client_profile
from tests.conformance.played_agent import PlayedAgent
from tests.support.members import exercised
from tests.support.processes import ControllerProcess, clean_environment
from tests.unit.api.output_shapes import assert_output

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    """A controller for all conformance tests; each has a cluster and families of its own."""
    process = ControllerProcess(tmp_path_factory.mktemp("conformance") / "controller")
    process.start()
    yield process
    process.end()


@pytest.fixture
def profile(controller: ControllerProcess) -> ClientProfile:
    """The administrator's access to the controller."""
    return load_client_profile(controller.data_dir)


def connect(
    profile: ClientProfile, access_key_id: str | None = None, secret_access_key: str | None = None
) -> Any:
    """boto3's ECS client with a key, else the administrator's. It does not try again what fails.

    Every answer is held against the service model. The caller closes the client.
    """
    client = boto3.session.Session().client(
        "ecs",
        endpoint_url=profile.endpoint,
        region_name=profile.region,
        aws_access_key_id=access_key_id or profile.access_key_id,
        aws_secret_access_key=secret_access_key or profile.secret_access_key,
        config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    client.meta.events.register("provide-client-params.ecs", _note_members)
    client.meta.events.register("after-call.ecs", _check_answer)
    return client


def _note_members(params: dict[str, Any], model: Any, **_: Any) -> None:
    exercised(model.name, params)


def _check_answer(http_response: Any, model: Any, **_: Any) -> None:
    if http_response.status_code == 200:
        assert_output(model.name, json.loads(http_response.content))


@pytest.fixture
def ecs(profile: ClientProfile) -> Iterator[Any]:
    """boto3's ECS client as the administrator."""
    client = connect(profile)
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for a cluster, a family, a service."""
    return f"conformance-{next(_numbers)}"


@pytest.fixture
def cluster(ecs: Any, name: str) -> str:
    """A cluster of the test's own."""
    ecs.create_cluster(clusterName=name)
    return name


@pytest.fixture
def agent(ecs: Any, profile: ClientProfile, cluster: str) -> Iterator[PlayedAgent]:
    """A connected container instance in the test's cluster."""
    with PlayedAgent(ecs, profile, cluster) as played:
        yield played


@pytest.fixture
def family(ecs: Any, name: str) -> str:
    """A registered task definition of one container."""
    ecs.register_task_definition(
        family=name,
        containerDefinitions=[
            {"name": "web", "image": "web:1", "memory": 64, "portMappings": [{"containerPort": 80}]}
        ],
    )
    return name


class AwsCli:
    """The AWS CLI: `aws("list-clusters")` is the answer of `aws ecs list-clusters`."""

    def __init__(self, program: str, profile: ClientProfile) -> None:
        self._program = program
        self._environment = clean_environment(
            AWS_ACCESS_KEY_ID=profile.access_key_id,
            AWS_SECRET_ACCESS_KEY=profile.secret_access_key,
            AWS_DEFAULT_REGION=profile.region,
            AWS_ENDPOINT_URL_ECS=profile.endpoint,
            AWS_PAGER="",
        )

    def __call__(self, *arguments: str) -> Any:
        """The answer; empty where the command says nothing. The command must succeed."""
        finished = self.run(*arguments)
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout or "{}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The finished command, whatever became of it."""
        return subprocess.run(
            [self._program, "ecs", *arguments, "--output", "json"],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def aws(profile: ClientProfile) -> AwsCli:
    """The AWS CLI as the administrator; skipped where there is none."""
    program = os.environ.get("HOMEPORT_TEST_AWS")
    if not program:
        pytest.skip("HOMEPORT_TEST_AWS does not name an AWS CLI")
    return AwsCli(program, profile)
