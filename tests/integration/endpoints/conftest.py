"""A controller, and an agent on a host of its own with its netfilter rules, for all tests of this folder."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.cli.client import Client
from controller.keyring import load_client_profile
from tests.support.engine import SESSION_ID
from tests.support.own_host import HostAgent, OwnHost, own_host
from tests.support.processes import ControllerProcess, free_port, wait_until

Answer = dict[str, Any]
ROLE_ARN = "arn:aws:iam::000000000000:role/probe"
_PROBE = Path(__file__).with_name("probe.py")
_SEEN_BY_PYTHON = (
    "/usr",
    "/lib",
    "/lib64",
    sys.base_prefix,
    sysconfig.get_paths()["purelib"],
    str(_PROBE.parent),
)


class Island:
    """The host with its agent, the controller, and what a person would do with them."""

    def __init__(self, directory: Path, host: OwnHost) -> None:
        self.host = host
        self.cluster = f"endpoints-{SESSION_ID}"
        self.directory = directory
        port = free_port()
        self.controller = ControllerProcess(
            directory / "controller",
            *("--cluster", self.cluster, "--listen", f"0.0.0.0:{port}", "--allow-plain-http"),
            port=port,
        )
        self.agent: HostAgent

    def start(self) -> None:
        """Start both and wait until the agent is connected."""
        self.controller.start()
        self.agent = self.new_agent("agent")
        self.agent.start()

    def new_agent(self, name: str) -> HostAgent:
        """An agent of this host; not started."""
        key = self.client.homeport("EnsureAgentAccessKey", cluster=self.cluster)
        return self.host.agent(self.directory / name, self.controller, key, self.cluster)

    @property
    def client(self) -> Client:
        """A client of the administrator's."""
        return Client(load_client_profile(self.controller.data_dir))

    def ecs(self, operation: str, **members: Any) -> Answer:
        """Call an operation in the cluster."""
        return self.client.ecs(operation, cluster=self.cluster, **members)

    def run(self, definition: str, **members: Any) -> str:
        """Run a task and wait until it is RUNNING; returns its ARN."""
        answer = self.ecs("RunTask", taskDefinition=definition, **members)
        assert not answer["failures"], answer["failures"]
        arn = str(answer["tasks"][0]["taskArn"])
        wait_until(lambda: self.task(arn)["lastStatus"] == "RUNNING", f"{arn} runs", 60)
        return arn

    def serve(self, definition: str, name: str, **members: Any) -> str:
        """Create a service of one task and wait until that runs; returns the task's ARN."""
        self.ecs("CreateService", serviceName=name, taskDefinition=definition, desiredCount=1, **members)

        def running() -> str | None:
            arns = self.ecs("ListTasks", serviceName=name)["taskArns"]
            return arns[0] if arns and self.task(arns[0])["lastStatus"] == "RUNNING" else None

        return str(wait_until(running, f"a task of {name} runs", 60))

    def task(self, arn: str) -> Answer:
        """A task as described."""
        return dict(self.ecs("DescribeTasks", tasks=[arn])["tasks"][0])

    def register(self, family: str, *containers: Answer, **members: Any) -> str:
        """Register a task definition of busybox containers; returns its family."""
        defaults: Answer = {"image": self.host.engine.image, "memory": 64, "essential": True}
        self.client.ecs(
            "RegisterTaskDefinition",
            family=family,
            containerDefinitions=[{**defaults, **container} for container in containers],
            **members,
        )
        return family

    def register_probe(self, family: str, *others: Answer, **members: Any) -> str:
        """Register the probe: a container that has this machine's Python and boto3 mounted."""
        controller = f"http://{self.host.gateway}:{self.controller.port}"
        environment = {
            "PYTHONPATH": sysconfig.get_paths()["purelib"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ENDPOINT_URL_ECS": controller,
            "AWS_ENDPOINT_URL_STS": controller,
        }
        places = [place for place in _SEEN_BY_PYTHON if Path(place).exists()]
        probe = {
            "name": "probe",
            "memory": 256,
            "command": [str(Path(sys.executable).resolve()), str(_PROBE)],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "mountPoints": [
                {"sourceVolume": f"v{number}", "containerPath": place, "readOnly": True}
                for number, place in enumerate(places)
            ],
            **members.pop("probe", {}),
        }
        volumes = [
            {"name": f"v{number}", "host": {"sourcePath": place}} for number, place in enumerate(places)
        ]
        return self.register(family, probe, *others, volumes=volumes, **members)

    def report(self, arn: str) -> Answer:
        """What the probe of a task has been told."""

        def printed() -> Answer | None:
            with self.host.engine.client() as engine:
                text = engine.api.logs(self.inspect(arn, "probe")["Id"]).decode()
            assert "Traceback" not in text, text
            return json.loads(text.splitlines()[0]) if text.endswith("}\n") else None

        found: Answer = wait_until(printed, f"the probe of {arn} reports", 60, 0.2)
        return found

    def inspect(self, arn: str, container: str) -> Answer:
        """What the engine says of a container of a task."""
        labels = [f"com.amazonaws.ecs.task-arn={arn}", f"com.amazonaws.ecs.container-name={container}"]
        with self.host.engine.client() as engine:
            (found,) = engine.api.containers(all=True, filters={"label": labels})
            body: Answer = engine.api.inspect_container(found["Id"])
        return body

    def end(self) -> None:
        """End both processes; the host takes its containers along."""
        for process in (getattr(self, "agent", None), self.controller):
            if process is not None:
                process.end()


@pytest.fixture(scope="package")
def island(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Island]:
    """Controller and agent, connected."""
    directory = tmp_path_factory.mktemp("island")
    with own_host(directory) as host:
        installation = Island(directory, host)
        try:
            installation.start()
            permitted = ["DescribeTasks", "GetTaskProtection", "UpdateTaskProtection"]
            installation.client.homeport("PutTaskRole", name="probe", allowed=permitted, assumedArn="")
            yield installation
        finally:
            installation.end()
