"""Driving a whole Homeport: what a person would do with the AWS CLI, in short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker

from controller.cli.client import Client
from controller.keyring import load_client_profile
from tests.support.fixtures import TrackProcess
from tests.support.processes import AgentProcess, ControllerProcess, wait_until

TASK_ARN_LABEL = "com.amazonaws.ecs.task-arn"
CLUSTER_LABEL = "com.amazonaws.ecs.cluster"

Answer = dict[str, Any]


class Homeport:
    """One controller, one agent and the engine of this machine, in a cluster of the test's own."""

    def __init__(
        self, directory: Path, processes: TrackProcess, engine: docker.DockerClient, image: str, cluster: str
    ) -> None:
        self.directory = directory
        self.engine = engine
        self.image = image
        self.cluster = cluster
        self._processes = processes
        self.controller = processes(ControllerProcess(directory / "controller", "--cluster", cluster))
        self.agent: AgentProcess

    def start(self) -> None:
        """Start both processes and wait until the agent is connected."""
        self.controller.start()
        self.agent = self._processes(self.new_agent("agent"))
        self.agent.start()
        self.wait_for_connection()

    def new_agent(self, name: str, **environment: str) -> AgentProcess:
        """An agent of this cluster with a data directory of its own; not started."""
        key = self.client.homeport("EnsureAgentAccessKey", cluster=self.cluster)
        return AgentProcess(
            self.directory / name,
            self.controller.endpoint,
            self.cluster,
            key["accessKeyId"],
            key["secretAccessKey"],
            **environment,
        )

    @property
    def client(self) -> Client:
        """A client of the administrator's."""
        return Client(load_client_profile(self.controller.data_dir))

    def ecs(self, operation: str, **members: Any) -> Answer:
        """Call an operation in this cluster."""
        return self.client.ecs(operation, cluster=self.cluster, **members)

    def instances(self) -> list[Answer]:
        """The cluster's container instances."""
        arns = self.ecs("ListContainerInstances")["containerInstanceArns"]
        return (
            self.ecs("DescribeContainerInstances", containerInstances=arns)["containerInstances"]
            if arns
            else []
        )

    def wait_for_connection(self) -> None:
        """Wait until an instance is connected and takes tasks."""
        self.eventually(lambda: any(i["agentConnected"] for i in self.instances()), "the agent is connected")

    def register(self, family: str, *containers: Answer, **members: Any) -> str:
        """Register a task definition of busybox containers; returns `family:revision`."""
        defaults: Answer = {"image": self.image, "memory": 16, "essential": True}
        definitions = [
            {"name": f"c{number}", **defaults, **container} for number, container in enumerate(containers)
        ]
        answer = self.client.ecs(
            "RegisterTaskDefinition", family=family, containerDefinitions=definitions, **members
        )
        definition = answer["taskDefinition"]
        return f"{definition['family']}:{definition['revision']}"

    def create_service(self, name: str, definition: str, count: int, **members: Any) -> Answer:
        """Create a service and wait until it is stable."""
        self.ecs("CreateService", serviceName=name, taskDefinition=definition, desiredCount=count, **members)
        return self.wait_until_stable(name)

    def service(self, name: str) -> Answer:
        """A service as described."""
        (service,) = self.ecs("DescribeServices", services=[name])["services"]
        return dict(service)

    def wait_until_stable(self, name: str, timeout_s: float = 60.0) -> Answer:
        """Wait as `aws ecs wait services-stable` does, only more often."""

        def stable() -> Answer | None:
            service = self.service(name)
            done = len(service["deployments"]) == 1 and service["runningCount"] == service["desiredCount"]
            return service if done else None

        found: Answer = self.eventually(stable, f"service {name} is stable", timeout_s)
        return found

    def tasks(self, desired: str = "RUNNING") -> list[Answer]:
        """The cluster's tasks of a desired status."""
        arns = self.ecs("ListTasks", desiredStatus=desired)["taskArns"]
        return self.ecs("DescribeTasks", tasks=arns)["tasks"] if arns else []

    def task(self, arn: str) -> Answer:
        """A task as described."""
        (task,) = self.ecs("DescribeTasks", tasks=[arn])["tasks"]
        return dict(task)

    def run_task(self, definition: str, **members: Any) -> str:
        """Run one task; returns its ARN."""
        answer = self.ecs("RunTask", taskDefinition=definition, **members)
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    def wait_for_status(self, arn: str, status: str, timeout_s: float = 60.0) -> Answer:
        """Wait until a task has a lastStatus."""

        def there() -> Answer | None:
            task = self.task(arn)
            return task if task["lastStatus"] == status else None

        found: Answer = self.eventually(there, f"task {arn} is {status}", timeout_s)
        return found

    def containers(self, *, running_only: bool = True) -> dict[str, str]:
        """Task ARN to container id, of this cluster's containers as the engine knows them."""
        found = self.engine.containers.list(
            all=not running_only, filters={"label": f"{CLUSTER_LABEL}={self.cluster}"}, ignore_removed=True
        )
        return {str(container.labels[TASK_ARN_LABEL]): str(container.id) for container in found}

    def agrees_with_the_engine(self) -> bool:
        """Whether the tasks that the API calls RUNNING are the tasks whose containers run."""
        running = {task["taskArn"] for task in self.tasks() if task["lastStatus"] == "RUNNING"}
        return running == set(self.containers())

    def eventually(self, condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
        """Wait until a condition holds."""
        return wait_until(condition, what, timeout_s)

    def remove_containers(self) -> None:
        """Remove this cluster's containers."""
        for container_id in self.containers(running_only=False).values():
            self.engine.api.remove_container(container_id, force=True, v=True)

    def end(self) -> None:
        """Remove what runs, as the engine's owner may."""
        for process in (getattr(self, "agent", None), self.controller):
            if process is not None:
                process.end()
