"""The agent killed at every named step of a task's life: one container per definition, and the truth told.

All points share one controller and one engine, several at a time; each has a cluster and an agent of its own.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from agent.crash_points import VARIABLE, CrashPoint
from controller.cli.client import Client
from controller.keyring import load_client_profile
from tests.support.fixtures import TrackProcess
from tests.support.processes import AgentProcess, ControllerProcess, wait_until

pytestmark = pytest.mark.engine

_AT_A_TIME = 9
_PATIENCE_S = 90.0
_LOG_SHOWN = 3000
_CONTAINERS = ("app", "helper")
_STOPS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


class Case:
    """One cluster, one agent, one task, one crash."""

    def __init__(
        self,
        point: CrashPoint,
        cluster: str,
        directory: Path,
        controller: ControllerProcess,
        engine: docker.DockerClient,
        image: str,
    ) -> None:
        self.point = point
        self.cluster = cluster
        self.directory = directory
        self.controller = controller
        self.engine = engine
        self.image = image
        self.client = Client(load_client_profile(controller.data_dir))
        self.agent: AgentProcess
        self.task = ""

    def run(self) -> None:
        """Begin a task and end it; the agent dies on the way and is started again."""
        self.agent = self._new_agent()
        try:
            self._live()
        finally:
            self.agent.end()

    def _new_agent(self) -> AgentProcess:
        self.client.ecs("CreateCluster", clusterName=self.cluster)
        key = self.client.homeport("EnsureAgentAccessKey", cluster=self.cluster)
        return AgentProcess(
            self.directory / self.point,
            self.controller.endpoint,
            self.cluster,
            key["accessKeyId"],
            key["secretAccessKey"],
            ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION="1s",
            ECS_CONTAINER_STOP_TIMEOUT="5s",
            **{VARIABLE: self.point},
        )

    def _live(self) -> None:
        self.agent.start(wait=False)
        definition = self._register()
        self.task = self._eventually(lambda: self._run_task(definition), "the agent takes a task")
        if self._dies_while_starting():
            self._come_back()
            self._check_running()
            self._stop_task()
        else:
            self._check_running()
            self._stop_task()
            self._come_back()
        self._check_stopped()

    def _dies_while_starting(self) -> bool:
        """Whether the agent ends before the controller knows that the task runs, or right after."""
        points = list(CrashPoint)
        return points.index(self.point) <= points.index(CrashPoint.RUNNING_ACKNOWLEDGED)

    def _come_back(self) -> None:
        self._eventually(lambda: not self.agent.is_running, "the agent ends there")
        assert self.agent.exit_code == -signal.SIGKILL, self.agent.log()
        del self.agent.environment[VARIABLE]
        self.agent.start(wait=False)

    def _check_running(self) -> None:
        task = self._eventually(lambda: self._described("RUNNING"), "the task is RUNNING")
        there = self._containers()
        assert sorted(there) == sorted(_CONTAINERS), f"{self.point}: one container for each definition"
        assert {c["name"]: c["runtimeId"] for c in task["containers"]} == there
        assert {c["lastStatus"] for c in task["containers"]} == {"RUNNING"}

    def _stop_task(self) -> None:
        self.client.ecs("StopTask", cluster=self.cluster, task=self.task, reason="enough")

    def _check_stopped(self) -> None:
        task = self._eventually(lambda: self._described("STOPPED"), "the task is STOPPED")
        assert task["stoppedReason"] == "enough"
        # A shell that was told to end before it had set its trap ends by SIGKILL.
        assert {c["name"]: c.get("exitCode") in (0, 137) for c in task["containers"]} == dict.fromkeys(
            _CONTAINERS, True
        )
        assert len(self._containers()) <= len(_CONTAINERS)
        self._eventually(lambda: not self._containers(), "nothing is left of the task")

    def _register(self) -> str:
        defaults: dict[str, Any] = {"image": self.image, "memory": 16, "command": ["/bin/sh", "-c", _STOPS]}
        definition = self.client.ecs(
            "RegisterTaskDefinition",
            family=f"crash-{self.point}",
            networkMode="none",
            containerDefinitions=[
                {"name": "app", "dependsOn": [{"containerName": "helper", "condition": "START"}], **defaults},
                {"name": "helper", "essential": False, **defaults},
            ],
        )["taskDefinition"]
        return str(definition["family"])

    def _run_task(self, definition: str) -> str | None:
        """The task's ARN; None as long as there is nobody to run it."""
        if not self.client.ecs("ListContainerInstances", cluster=self.cluster)["containerInstanceArns"]:
            return None
        answer = self.client.ecs("RunTask", cluster=self.cluster, taskDefinition=definition)
        return str(answer["tasks"][0]["taskArn"]) if answer["tasks"] else None

    def _described(self, status: str) -> dict[str, Any] | None:
        (task,) = self.client.ecs("DescribeTasks", cluster=self.cluster, tasks=[self.task])["tasks"]
        assert not (status == "RUNNING" and task["lastStatus"] == "STOPPED"), task
        return task if task["lastStatus"] == status else None

    def _containers(self) -> dict[str, str]:
        """Name to id of every container of the task, running or not. No name may have two."""
        label = f"com.amazonaws.ecs.task-arn={self.task}"
        found = self.engine.api.containers(all=True, filters={"label": label})
        names = [str(c["Labels"]["com.amazonaws.ecs.container-name"]) for c in found]
        assert len(set(names)) == len(names), f"{self.point}: {names}"
        return dict(zip(names, (str(c["Id"]) for c in found), strict=True))

    def _eventually(self, condition: Any, what: str) -> Any:
        return wait_until(condition, f"{self.point}: {what}", _PATIENCE_S)


@pytest.fixture
def controller(tmp_path: Path, processes: TrackProcess) -> ControllerProcess:
    """The one controller of all points."""
    return processes(ControllerProcess(tmp_path / "controller")).start()


@pytest.mark.timeout(400)  # it is half a minute of work for two cores that have nothing else to do
def test_wherever_the_agent_is_killed_each_task_has_its_containers_once_and_the_controller_hears_the_truth(
    tmp_path: Path,
    controller: ControllerProcess,
    docker_client: docker.DockerClient,
    busybox_image: str,
    cluster_name: str,
) -> None:
    cases = [
        Case(point, f"{cluster_name}-{point}", tmp_path, controller, docker_client, busybox_image)
        for point in CrashPoint
    ]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        failures = [failure for failure in pool.map(_failure, cases) if failure]
    assert not failures, "\n".join(failures)


def _failure(case: Case) -> str:
    """Run one case; what went wrong, empty if nothing did. All others are tried whatever comes of it."""
    try:
        case.run()
    except Exception as error:  # noqa: BLE001  shown together with those of the other points
        return f"{case.point}: {error!r}\n{case.agent.log(_LOG_SHOWN)}"
    return ""
