"""A controller that serves HTTPS, real agents, and AWS's own client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import pytest

from agent.protocol.trust import certificates, fingerprint
from controller.cli.client import Client
from controller.keyring import load_client_profile
from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT, AgentProcess, ControllerProcess, clean_environment, wait_until

NOT_STARTABLE = 5

BOTO3 = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"], boto3.client("ecs").list_clusters()["clusterArns"])
"""


@pytest.fixture
def controller(tmp_path: Path, processes: TrackProcess, cluster_name: str) -> ControllerProcess:
    process = processes(
        ControllerProcess(tmp_path / "controller", "--tls", "auto", "--cluster", cluster_name)
    )
    process.start()
    return process


def client_of(controller: ControllerProcess) -> Client:
    return Client(load_client_profile(controller.data_dir))


def authorities(controller: ControllerProcess) -> list[str]:
    assert controller.ca_file is not None
    return certificates(controller.ca_file.read_text())


def agent_of(
    controller: ControllerProcess, directory: Path, cluster: str, **environment: str
) -> AgentProcess:
    key = client_of(controller).homeport("EnsureAgentAccessKey", cluster=cluster)
    return AgentProcess(
        directory,
        controller.endpoint,
        cluster,
        key["accessKeyId"],
        key["secretAccessKey"],
        **environment,
    )


def run(*command: str | Path, environment: Mapping[str, str]) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=dict(environment)
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def connected(controller: ControllerProcess, cluster: str) -> list[dict[str, Any]]:
    client = client_of(controller)
    arns = client.ecs("ListContainerInstances", cluster=cluster)["containerInstanceArns"]
    if not arns:
        return []
    answer = client.ecs("DescribeContainerInstances", cluster=cluster, containerInstances=arns)
    return [instance for instance in answer["containerInstances"] if instance["agentConnected"]]


def test_what_env_prints_is_all_that_aws_clients_need(controller: ControllerProcess) -> None:
    exports = run(
        *(HOMEPORT, "env", "--data-dir", controller.data_dir), environment=clean_environment()
    ).splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    assert variables["AWS_CA_BUNDLE"] == str(controller.ca_file)
    bare = clean_environment()
    bare.pop("AWS_EC2_METADATA_DISABLED")
    said = run(sys.executable, "-c", BOTO3, environment=bare | variables)
    assert ":user/administrator" in said
    assert "cluster/default" in said
    del variables["AWS_CA_BUNDLE"]
    refused = subprocess.run(
        [sys.executable, "-c", BOTO3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=bare | variables | {"AWS_MAX_ATTEMPTS": "1"},
    )
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr


@pytest.mark.engine
def test_the_authority_is_rotated_under_a_connected_agent_that_drops_no_task(
    controller: ControllerProcess,
    tmp_path: Path,
    processes: TrackProcess,
    docker_client: docker.DockerClient,
    busybox_image: str,
    cluster_name: str,
) -> None:
    former = authorities(controller)[0]
    agent = processes(
        agent_of(
            controller,
            tmp_path / "agent",
            cluster_name,
            HOMEPORT_AUTHORITY_FINGERPRINT=fingerprint(former),
        )
    ).start()
    wait_until(lambda: connected(controller, cluster_name), "the agent is connected")
    client = client_of(controller)
    container = {"name": "main", "image": busybox_image, "memory": 16, "stopTimeout": 2}
    client.ecs("RegisterTaskDefinition", family="kept", containerDefinitions=[container])
    (task,) = client.ecs("RunTask", cluster=cluster_name, taskDefinition="kept")["tasks"]

    def status() -> str:
        found = client.ecs("DescribeTasks", cluster=cluster_name, tasks=[task["taskArn"]])["tasks"]
        return str(found[0]["lastStatus"])

    def container_ids() -> list[str]:
        label = f"com.amazonaws.ecs.task-arn={task['taskArn']}"
        return [str(found.id) for found in docker_client.containers.list(filters={"label": label})]

    wait_until(lambda: status() == "RUNNING", "the task runs")
    before = container_ids()
    (instance,) = connected(controller, cluster_name)

    client.homeport("RotateTlsAuthority")
    assert authorities(controller)[1:] == [former]
    assert [i["containerInstanceArn"] for i in connected(controller, cluster_name)] == [
        instance["containerInstanceArn"]
    ]
    # Every connection is made anew, by an agent that has known the former authority only.
    controller.stop()
    controller.start()
    wait_until(lambda: connected(controller, cluster_name), "the agent is connected again")
    assert (status(), container_ids()) == ("RUNNING", before)
    # And by an agent that is told of the former one after the rotation.
    agent.stop()
    (agent.data_dir / "authorities.pem").unlink()
    agent.start()
    wait_until(lambda: connected(controller, cluster_name), "the agent is connected once more")
    assert len(certificates((agent.data_dir / "authorities.pem").read_text())) == 2
    client.ecs("StopTask", cluster=cluster_name, task=task["taskArn"])
    wait_until(lambda: status() == "STOPPED", "the task stops", timeout_s=60)
    docker_client.api.remove_container(before[0], force=True)


@pytest.mark.engine
def test_an_agent_that_expects_another_authority_does_not_start(
    controller: ControllerProcess, tmp_path: Path, processes: TrackProcess, cluster_name: str
) -> None:
    agent = processes(
        agent_of(
            controller,
            tmp_path / "agent",
            cluster_name,
            HOMEPORT_AUTHORITY_FINGERPRINT="sha256:" + 64 * "0",
        )
    ).start(wait=False)
    assert agent.wait(timeout_s=60) == NOT_STARTABLE
    assert "is not the controller that was expected" in agent.log()
    assert fingerprint(authorities(controller)[0]) in agent.log()
    assert not connected(controller, cluster_name)


@pytest.mark.engine
def test_an_agent_trusts_a_file_alone(
    controller: ControllerProcess, tmp_path: Path, processes: TrackProcess, cluster_name: str
) -> None:
    file = tmp_path / "copied.pem"
    file.write_text("".join(authorities(controller)))
    processes(agent_of(controller, tmp_path / "agent", cluster_name, HOMEPORT_CA_FILE=str(file))).start()
    wait_until(lambda: connected(controller, cluster_name), "the agent is connected")
    stranger = agent_of(controller, tmp_path / "stranger", cluster_name)
    processes(stranger).start(wait=False)
    wait_until(lambda: "certificate verify failed" in stranger.log(), "an agent without it is told why")


def test_private_keys_are_their_owners_and_in_no_log(controller: ControllerProcess) -> None:
    for path in (controller.data_dir / "tls").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    client_of(controller).homeport("RotateTlsAuthority")
    controller.stop()
    assert "PRIVATE KEY" not in controller.log()
