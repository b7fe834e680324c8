"""A task engine on the real Docker engine, with what a controller would do played by the test."""

import asyncio
import contextlib
import hashlib
import itertools
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from prometheus_client import CollectorRegistry

from agent.config import AgentConfig
from agent.engine.book import TaskRecord
from agent.engine.changes import TaskChange
from agent.engine.engine import TaskEngine
from agent.protocol import acs
from agent.protocol.clock import SystemClock
from agent.protocol.resources import Resources
from agent.protocol.signing import Credentials
from tests.support.engine import remove_task_cgroups

CAPACITY = Resources(cpu=8192, memory=16384, ports_tcp=frozenset({22}), ports_udp=frozenset(), gpus=0)
SETTINGS = {"container_stop_timeout_s": 1.0, "disk_warning_percent": 100, "disk_full_percent": 100}
"""Of every engine: however full the machine's own disk is, it is no matter for tests of something else."""
PATIENCE_S = 15.0
_POLL_S = 0.01
_revisions = itertools.count(1)


def owner_of(data_dir: Path) -> str:
    """The mark of the identity in a data directory."""
    return hashlib.sha256(bytes(data_dir)).hexdigest()[:16]


class Harness:
    """An engine that runs, the tasks given to it and the reports it made."""

    def __init__(self, data_dir: Path, cluster: str, image: str, client: docker.DockerClient) -> None:
        self.data_dir = data_dir
        self.cluster = cluster
        self.image = image
        self.client = client
        self.reports: list[TaskChange] = []
        self.engine: TaskEngine
        self._running: list[asyncio.Task[None]] = []

    async def start(
        self,
        *,
        capacity: Resources = CAPACITY,
        token: Callable[[], str] = lambda: secrets.token_hex(10),
        **settings: Any,
    ) -> None:
        """Start an engine on the data directory. Reports are acknowledged as they come."""
        config = AgentConfig(
            credentials=Credentials("key", "secret"),
            data_dir=self.data_dir,
            **{**SETTINGS, **settings},
        )
        self.engine = TaskEngine(
            config, owner_of(self.data_dir), capacity, SystemClock(), CollectorRegistry(), token=token
        )
        await self.engine.start()
        self._running = [asyncio.create_task(self.engine.run()), asyncio.create_task(self._acknowledge())]

    async def stop(self) -> None:
        """Stop the engine; containers go on."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.engine.stop()

    async def _acknowledge(self) -> None:
        changes = self.engine.changes
        while True:
            await changes.wait()
            for arn in changes.unsent():
                while (change := changes.peek(arn)) is not None:
                    self.reports.append(change)
                    await changes.mark_sent(arn, change)

    def container(self, name: str = "web", **members: Any) -> acs.Container:
        """A container of the test image that sleeps and obeys SIGTERM at once."""
        defaults: dict[str, Any] = {
            "image": self.image,
            "cpu": 10,
            "memory": 32,
            "essential": True,
            "command": ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"),
        }
        return acs.Container(name=name, **{**defaults, **members})

    def shell(self, script: str, name: str = "web", **members: Any) -> acs.Container:
        """A container that runs a shell script."""
        return self.container(name, **{"command": ("/bin/sh", "-c", script), **members})

    def task(self, *containers: acs.Container, **members: Any) -> acs.Task:
        """A task of its own ARN in the test's cluster."""
        prefix = "arn:aws:ecs:us-east-1:000000000000"
        defaults: dict[str, Any] = {
            "arn": f"{prefix}:task/{self.cluster}/{secrets.token_hex(16)}",
            "task_cluster_arn": f"{prefix}:cluster/{self.cluster}",
            "desired_status": "RUNNING",
            "family": "app",
            "version": str(next(_revisions)),
            "network_mode": "bridge",
            "containers": containers or (self.container(),),
        }
        return acs.Task(**{**defaults, **members})

    async def run(self, *containers: acs.Container, **members: Any) -> acs.Task:
        """Hand the engine a task and wait until it is reported RUNNING."""
        task = self.task(*containers, **members)
        await self.engine.accept((task,))
        await self.reported(task, "RUNNING")
        return task

    async def reported(self, task: acs.Task, status: str) -> TaskChange:
        """Wait for a report of ``status`` about a task."""

        def matching() -> list[TaskChange]:
            return [c for c in self.reports if c.task_arn == task.arn and c.status == status]

        await self.eventually(matching, f"{task.arn} reported {status}; so far {self.statuses(task)}")
        return matching()[0]

    def statuses(self, task: acs.Task) -> list[str]:
        """The statuses reported about a task, in order."""
        return [change.status for change in self.reports if change.task_arn == task.arn]

    async def eventually(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until ``condition()`` is true and return its value."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not (value := condition()):
                    await asyncio.sleep(_POLL_S)
                return value
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")

    def record(self, task: acs.Task) -> TaskRecord:
        """What the engine knows of a task."""
        record = next((r for r in self.engine.records() if r.plan.arn == task.arn), None)
        assert record is not None, f"{task.arn} is not known"
        return record

    def docker_name(self, task: acs.Task, container: str = "web") -> str:
        """The name that the engine chose for a container."""
        plan = self.record(task).plan
        return plan.containers[plan.index(container)].docker_name

    def inspect(self, task: acs.Task, container: str = "web") -> dict[str, Any]:
        """What Docker says about a container of a task."""
        body: dict[str, Any] = self.client.api.inspect_container(self.docker_name(task, container))
        return body

    def output(self, task: acs.Task, container: str = "web") -> str:
        """What a container has written."""
        text: bytes = self.client.api.logs(self.docker_name(task, container))
        return text.decode()

    def containers_of(self, task: acs.Task) -> list[str]:
        """The ids of every container, running or not, that Docker has for a task."""
        label = f"com.amazonaws.ecs.task-arn={task.arn}"
        return [c["Id"] for c in self.client.api.containers(all=True, filters={"label": label})]

    def remove_everything(self) -> None:
        """Remove what the engine made in the test's cluster."""
        label = f"com.amazonaws.ecs.cluster={self.cluster}"
        for container in self.client.api.containers(all=True, filters={"label": label}):
            with contextlib.suppress(docker.errors.NotFound):
                self.client.api.remove_container(container["Id"], force=True, v=True)
            remove_task_cgroups(container["Labels"])
        for volume in self.client.api.volumes(filters={"label": label})["Volumes"] or ():
            with contextlib.suppress(docker.errors.NotFound):
                self.client.api.remove_volume(volume["Name"])
