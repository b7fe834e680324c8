"""`homeport up`: controller and agent as real processes, supervised, and ended in order."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import docker
import pytest

from controller.cli.client import Client
from controller.keyring import load_client_profile
from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT, UpProcess, clean_environment, wait_until


@pytest.fixture
def up(data_dir: Path, processes: TrackProcess, cluster_name: str) -> UpProcess:
    """A `homeport up` that has not been started yet."""
    return processes(UpProcess(data_dir, "--cluster", cluster_name))


def instances(data_dir: Path, cluster: str) -> list[dict[str, object]]:
    result = homeport("instances", "--data-dir", str(data_dir), "--cluster", cluster, "--output", "json")
    found = json.loads(result.stdout)["containerInstances"]
    assert isinstance(found, list)
    return found


def homeport(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [HOMEPORT, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=clean_environment(),
    )


def connected(data_dir: Path, cluster: str) -> bool:
    return any(instance["agentConnected"] for instance in instances(data_dir, cluster))


@pytest.mark.engine
def test_up_brings_a_cluster_with_a_connected_instance_and_goes_in_order(
    up: UpProcess, data_dir: Path, cluster_name: str
) -> None:
    up.start()
    wait_until(lambda: connected(data_dir, cluster_name), "an agent is connected")
    assert up.stop() == 0
    log = up.log()
    assert log.index("stopping the agent") < log.index("stopping the controller")
    assert "Homeport is up" in log


@pytest.mark.engine
def test_what_was_killed_runs_again_and_is_the_same_instance(
    up: UpProcess, data_dir: Path, cluster_name: str
) -> None:
    up.start()
    wait_until(lambda: connected(data_dir, cluster_name), "an agent is connected")
    before = [instance["containerInstanceArn"] for instance in instances(data_dir, cluster_name)]
    for name in ("agent", "controller"):
        kill_and_see_restarted(up, name)
        wait_until(lambda: connected(data_dir, cluster_name), "an agent is connected")
    assert [instance["containerInstanceArn"] for instance in instances(data_dir, cluster_name)] == before
    assert up.stop() == 0


def kill_and_see_restarted(up: UpProcess, name: str) -> None:
    (killed,) = children(up.pid, f"-m {name} ")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: f"the {name} ended by signal 9" in up.log(), "the end is noticed")
    wait_until(lambda: set(children(up.pid, f"-m {name} ")) - {killed}, f"the {name} runs again")
    wait_until(up.ready, "the controller answers")


@pytest.mark.engine
def test_no_child_outlives_a_killed_up(up: UpProcess, data_dir: Path, cluster_name: str) -> None:
    up.start()
    found = wait_until(lambda: len(every := children(up.pid, " -m ")) == 2 and every, "both children run")
    up.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found), "both children end")


@pytest.mark.engine
def test_a_second_up_keeps_containers_and_instance(
    up: UpProcess,
    data_dir: Path,
    cluster_name: str,
    docker_client: docker.DockerClient,
    busybox_image: str,
) -> None:
    up.start()
    wait_until(lambda: connected(data_dir, cluster_name), "an agent is connected")
    client = Client(load_client_profile(data_dir))
    container = {"name": "main", "image": busybox_image, "memory": 16, "stopTimeout": 2}
    client.ecs("RegisterTaskDefinition", family="stays", containerDefinitions=[container])
    answer = client.ecs("RunTask", cluster=cluster_name, taskDefinition="stays")
    (task,) = [task["taskArn"] for task in answer["tasks"]]

    def status() -> str:
        return str(client.ecs("DescribeTasks", cluster=cluster_name, tasks=[task])["tasks"][0]["lastStatus"])

    def containers() -> list[str]:
        label = f"com.amazonaws.ecs.task-arn={task}"
        listed = docker_client.containers.list(filters={"label": label}, ignore_removed=True)
        return [str(found.id) for found in listed]

    wait_until(lambda: status() == "RUNNING", "the task runs")
    before = containers()
    assert up.stop() == 0
    assert containers() == before
    up.start()
    wait_until(lambda: connected(data_dir, cluster_name), "an agent is connected")
    assert (status(), containers()) == ("RUNNING", before)
    (line,) = [
        line
        for line in homeport("ps", "--data-dir", str(data_dir), "--cluster", cluster_name).stdout.splitlines()
        if task.rpartition("/")[2] in line
    ]
    assert "RUNNING" in line
    client.ecs("StopTask", cluster=cluster_name, task=task)
    wait_until(lambda: status() == "STOPPED", "the task stops", timeout_s=60)
    stopped = homeport("ps", "--all", "--data-dir", str(data_dir), "--cluster", cluster_name).stdout
    assert "REASON" in stopped.splitlines()[0]
    assert up.stop() == 0
    docker_client.api.remove_container(before[0], force=True)


def test_up_fails_with_the_reason_when_the_controller_cannot_start(
    data_dir: Path, processes: TrackProcess
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up = processes(UpProcess(data_dir, "--no-agent", port=taken.getsockname()[1]))
        up.start(wait=False)
        assert up.wait() == 1
    log = up.log()
    assert "the controller ended with status" in log
    assert "in use" in log


def test_a_second_up_on_the_same_port_says_that_one_is_running(
    data_dir: Path, tmp_path: Path, processes: TrackProcess
) -> None:
    first = processes(UpProcess(data_dir, "--no-agent")).start()
    second = processes(UpProcess(tmp_path / "other", "--no-agent", port=first.port))
    second.start(wait=False)
    assert second.wait() == 1
    assert f"a controller is running at {first.endpoint} already" in second.log()
    assert first.stop() == 0


def test_agent_config_gives_a_key_for_this_cluster(
    data_dir: Path, processes: TrackProcess, cluster_name: str
) -> None:
    up = processes(UpProcess(data_dir, "--no-agent", "--cluster", cluster_name)).start()
    arguments = ("agent-config", "--data-dir", str(data_dir), "--cluster", cluster_name)
    first, again = homeport(*arguments).stdout, homeport(*arguments).stdout
    found = dict(line.split("=", 1) for line in first.splitlines())
    assert first == again
    assert found["ECS_CLUSTER"] == cluster_name
    assert found["ECS_BACKEND_HOST"] == up.endpoint
    assert found["AWS_SECRET_ACCESS_KEY"] != load_client_profile(data_dir).secret_access_key
    assert up.stop() == 0


def children(parent: int, words: str) -> list[int]:
    """The direct children of a process whose command line contains these words."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if int(status[1]) == parent and words in command:
            found.append(int(entry.name))
    return found
