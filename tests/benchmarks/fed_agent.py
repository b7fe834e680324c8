"""A real agent process on the real engine, with a controller that hands out payloads and notes reports."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors

from agent.protocol import acs
from tests.integration.session.controller import SECRET, Connection, FakeController
from tests.support.engine import remove_task_cgroups
from tests.support.fixtures import TrackProcess
from tests.support.processes import AgentProcess

TASKS_A_MESSAGE = 10
"""As many as Homeport's controller sends at once."""
_HEARTBEAT_S = 3.0
_PATIENCE_S = 120.0
_REMOVERS = 8
_ARN_PREFIX = "arn:aws:ecs:us-east-1:000000000000"
_CLUSTER_LABEL = "com.amazonaws.ecs.cluster"


class FedAgent:
    """The agent, the controller that it knows, and the engine that it works with."""

    def __init__(
        self,
        process: AgentProcess,
        controller: FakeController,
        connection: Connection,
        cluster: str,
        engine: docker.DockerClient,
    ) -> None:
        self.process = process
        self.cluster = cluster
        self.engine = engine
        self._controller = controller
        self._connection = connection
        self._messages = itertools.count(1)
        self._reported: dict[tuple[str, str], float] = {}
        self._news = asyncio.Event()
        controller.refuse_submit = self._note

    def _note(self, report: dict[str, Any]) -> None:
        self._reported.setdefault((report["task"], report["status"]), time.perf_counter())
        self._news.set()

    async def serve(self) -> None:
        """Read what the agent says and send heartbeats, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._beat())

    async def _read(self) -> None:
        async for _ in self._connection.socket:
            pass

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            beat = acs.HeartbeatMessage(message_id=f"h{next(self._messages)}", healthy=True)
            await self._connection.send(beat)

    async def start(self, tasks: Sequence[acs.Task]) -> float:
        """Hand over tasks as payloads; seconds until the last of them is reported RUNNING."""
        began = time.perf_counter()
        for first in range(0, len(tasks), TASKS_A_MESSAGE):
            number = next(self._messages)
            await self._connection.send(
                acs.PayloadMessage(
                    message_id=f"p{number}",
                    cluster_arn=f"{_ARN_PREFIX}:cluster/{self.cluster}",
                    container_instance_arn=self._connection.query["containerInstanceArn"],
                    seq_num=number,
                    tasks=tuple(tasks[first : first + TASKS_A_MESSAGE]),
                )
            )
        return await self._all_reported(tasks, "RUNNING") - began

    async def clear(self, tasks: Sequence[acs.Task]) -> None:
        """Remove the tasks' containers by force and wait until the agent has noticed and tidied up."""
        await asyncio.to_thread(remove_containers, self.engine, self.cluster)
        await self._all_reported(tasks, "STOPPED")

    async def _all_reported(self, tasks: Sequence[acs.Task], status: str) -> float:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                times = [self._reported.get((task.arn or "", status)) for task in tasks]
                if all(times):
                    return max(at for at in times if at is not None)
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def fed_agent(
    directory: Path, track: TrackProcess, cluster: str, engine: docker.DockerClient, **environment: str
) -> AsyncIterator[FedAgent]:
    """Start an agent with a data directory and ports of its own, and end it, containers and all."""
    async with FakeController().serving() as controller:
        process = AgentProcess(directory / "agent", controller.url, cluster, "AKID", SECRET, **environment)
        await asyncio.to_thread(track(process).start)
        fed = FedAgent(process, controller, await controller.acs(), cluster, engine)
        serving = asyncio.create_task(fed.serve())
        try:
            yield fed
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            await asyncio.to_thread(process.end)
            await asyncio.to_thread(remove_containers, engine, cluster)


def sleeping_task(cluster: str, image: str, network: str = "bridge") -> acs.Task:
    """A task of one container that does nothing, in a network mode."""
    container = acs.Container(
        name="web",
        image=image,
        cpu=10,
        memory=16,
        essential=True,
        command=("/bin/sleep", "3600"),
        docker_config=acs.DockerConfig(host_config=json.dumps({"NetworkMode": network})),
    )
    return acs.Task(
        arn=f"{_ARN_PREFIX}:task/{cluster}/{secrets.token_hex(16)}",
        task_cluster_arn=f"{_ARN_PREFIX}:cluster/{cluster}",
        desired_status="RUNNING",
        family="bench",
        version="1",
        network_mode=network,
        containers=(container,),
    )


def remove_containers(engine: docker.DockerClient, cluster: str) -> None:
    """Remove every container of a cluster, several at a time, and the cgroups of their tasks."""
    filters = {"label": f"{_CLUSTER_LABEL}={cluster}"}
    containers = engine.api.containers(all=True, filters=filters)

    def remove(container: dict[str, Any]) -> None:
        with suppress(docker.errors.NotFound):
            engine.api.remove_container(container["Id"], force=True, v=True)
        remove_task_cgroups(container["Labels"])

    with ThreadPoolExecutor(_REMOVERS) as pool:
        list(pool.map(remove, containers))
