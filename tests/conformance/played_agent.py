"""A container instance over the real wire whose containers are only played.

It registers, keeps an ACS connection and acknowledges what it is sent; tests say what its tasks do.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self

import aiohttp

from agent.protocol import acs, envelope
from agent.protocol.clock import SystemClock
from agent.protocol.extensions import PROTOCOL_PARAMETER, TaskInventoryMessage
from agent.protocol.signing import Credentials, sign
from agent.session.urls import websocket_url
from controller.keyring import ClientProfile
from tests.support.processes import wait_until

CAPABILITIES = (
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.19",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
)


class PlayedAgent:
    """An agent with 4,096 CPU units and 8,000 MiB, or what a test gives it. A context manager."""

    def __init__(
        self, ecs: Any, profile: ClientProfile, cluster: str, cpu: int = 4096, memory: int = 8000
    ) -> None:
        self._ecs = ecs
        self._profile = profile
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="played agent")
        self._stop = asyncio.Event()
        self.received: list[acs.Task] = []
        self.arn = self._register(cpu, memory)

    def _register(self, cpu: int, memory: int) -> str:
        answer = self._ecs.register_container_instance(
            cluster=self._cluster,
            totalResources=[
                {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
                {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
                {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
            ],
            versionInfo={"agentVersion": "1.0.0", "agentHash": "0", "dockerVersion": "DockerVersion: 20.10"},
            attributes=[
                *({"name": name} for name in CAPABILITIES),
                {"name": "ecs.cpu-architecture", "value": "x86_64"},
            ],
        )
        arn: str = answer["containerInstance"]["containerInstanceArn"]
        return arn

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(self._is_connected, "the played agent is connected")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _is_connected(self) -> bool:
        answer = self._ecs.describe_container_instances(cluster=self._cluster, containerInstances=[self.arn])
        connected: bool = answer["containerInstances"][0]["agentConnected"]
        return connected

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._talk())

    async def _talk(self) -> None:
        url = websocket_url(
            f"{self._profile.endpoint}/acs",
            {
                "clusterArn": self._cluster,
                "containerInstanceArn": self.arn,
                PROTOCOL_PARAMETER: "1",
                "seqNum": "1",
            },
        )
        headers = sign(
            method="GET",
            url=url.replace("ws://", "http://"),
            headers={},
            body=b"",
            credentials=Credentials(self._profile.access_key_id, self._profile.secret_access_key),
            service="ecs",
            region=self._profile.region,
            now=SystemClock().now(),
        )
        async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as socket:
            await socket.send_str(envelope.encode(TaskInventoryMessage()))
            stopping = asyncio.create_task(self._stop.wait())
            listening = asyncio.create_task(self._listen(socket))
            await asyncio.wait([stopping, listening], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            await socket.close()
            await listening

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            message = envelope.decode_acs(frame.data)
            if isinstance(message, acs.PayloadMessage):
                self.received += message.tasks
            message_id = getattr(message, "message_id", None)
            if message_id:
                acknowledgement = acs.AckRequest(
                    cluster=self._cluster, container_instance=self.arn, message_id=message_id
                )
                await socket.send_str(envelope.encode(acknowledgement))

    def report(self, task_arn: str, status: str, **members: Any) -> None:
        """Report a task's status, and the same of all its containers."""
        (task,) = self._ecs.describe_tasks(cluster=self._cluster, tasks=[task_arn])["tasks"]
        containers = [
            {"containerName": container["name"], "status": status, "runtimeId": "0" * 64}
            for container in task["containers"]
        ]
        self._ecs.submit_task_state_change(
            cluster=self._cluster, task=task_arn, status=status, **{"containers": containers, **members}
        )

    def run_everything(self) -> None:
        """Report every task of this instance RUNNING that should run, and STOPPED every other one."""
        for desired, status in (("RUNNING", "RUNNING"), ("STOPPED", "STOPPED")):
            arns = self._ecs.list_tasks(
                cluster=self._cluster, containerInstance=self.arn, desiredStatus=desired
            )["taskArns"]
            tasks = self._ecs.describe_tasks(cluster=self._cluster, tasks=arns)["tasks"] if arns else []
            for task in tasks:
                if task["lastStatus"] != status and task["lastStatus"] != "STOPPED":
                    self.report(task["taskArn"], status)
