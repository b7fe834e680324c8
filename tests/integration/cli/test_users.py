"""`homeport user` with a real controller, and what AWS's own client may do with the keys."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT, ControllerProcess, clean_environment


class Users:
    """The command, and clients with the keys that it shows."""

    def __init__(self, controller: ControllerProcess) -> None:
        self.controller = controller

    def run(self, *arguments: str) -> dict[str, Any]:
        result = subprocess.run(
            [HOMEPORT, "user", *arguments, "--data-dir", self.controller.data_dir, "--output", "json"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env=clean_environment(),
        )
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def client(self, key: dict[str, Any], service: str = "ecs") -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.controller.endpoint,
            aws_access_key_id=key["accessKeyId"],
            aws_secret_access_key=key["secretAccessKey"],
        )


@pytest.fixture
def users(tmp_path_factory: pytest.TempPathFactory, processes: TrackProcess) -> Users:
    process = processes(ControllerProcess(tmp_path_factory.mktemp("users") / "controller"))
    process.start()
    return Users(process)


def refusal(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    return str(caught.value)


def test_keys_do_what_their_role_says_until_they_are_disabled_and_survive_a_restart(users: Users) -> None:
    deployer, viewer = (users.run("create", name, "--role", name) for name in ("deployer", "viewer"))
    ecs = users.client(deployer)
    container = {"name": "main", "image": "busybox", "memory": 16}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=0)
    seeing = users.client(viewer)
    assert seeing.describe_services(services=["web"])["services"][0]["status"] == "ACTIVE"
    assert refusal(seeing.delete_service, service="web").endswith(
        "AccessDeniedException) when calling the DeleteService operation: User: "
        "arn:aws:iam::000000000000:user/viewer is not authorized to perform: ecs:DeleteService on resource: "
        "* because no identity-based policy allows the ecs:DeleteService action"
    )
    assert "ecs:DeleteCluster" in refusal(ecs.delete_cluster, cluster="default")
    assert users.client(viewer, "sts").get_caller_identity()["Arn"].endswith(":user/viewer")

    renewed = users.run("rotate", "deployer")
    assert "UnrecognizedClientException" in refusal(ecs.list_clusters)
    users.controller.stop()
    users.controller.start()
    assert users.client(renewed).list_clusters()["clusterArns"]
    stored = b"".join(path.read_bytes() for path in users.controller.data_dir.rglob("*") if path.is_file())
    for key in (viewer, deployer, renewed):
        secret = key["secretAccessKey"]
        assert secret.encode() not in stored
        assert secret not in users.controller.log()
        assert secret not in str(users.run("list"))
