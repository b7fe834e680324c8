"""The TCS websocket: container health, use of resources and the engine's state go up here."""

import asyncio
import uuid
from collections import deque
from random import Random

import msgspec
import structlog

from agent import __version__
from agent.config import AgentConfig
from agent.identity import IdentityFile
from agent.protocol.clock import Clock
from agent.protocol.envelope import MalformedFrame, decode_tcs, encode, join_signed_frame
from agent.protocol.signing import host_of
from agent.session.api import ControlPlaneClient, read_error
from agent.session.discovery import Discovery
from agent.session.engine_port import EnginePort
from agent.session.instance_health import InstanceHealth
from agent.session.reconnect import closed_in_order, expire, stay_connected
from agent.session.telemetry import Window, health_messages, metrics_messages, status_message
from agent.session.urls import AGENT_HASH, BadEndpoint, websocket_url
from agent.session.websocket import ConnectionEnded, UpgradeRefused, Websocket, until_first_ends

log = structlog.get_logger(__name__)

PUBLISH_INTERVAL_S = 20.0
WINDOWS_KEPT = 15
"""Unsent windows kept while there is no connection: five minutes, as amazon-ecs-agent."""
PATIENCE_S = 2 * PUBLISH_INTERVAL_S
"""Every publication is acknowledged, so a longer silence means that the connection is dead."""


class TelemetrySession:
    """Measures at its own pace, and publishes whenever connected."""

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        discovery: Discovery,
        identity: IdentityFile,
        config: AgentConfig,
        engine: EnginePort,
        health: InstanceHealth,
        clock: Clock,
        random: Random,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._identity = identity
        self._config = config
        self._engine = engine
        self._health = health
        self._clock = clock
        self._random = random
        self._windows: deque[Window] = deque(maxlen=WINDOWS_KEPT)
        self._health_due = False
        self._status_due = False
        self._due = asyncio.Event()
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether the connection is open at this moment."""
        return self._connected

    async def run(self) -> None:
        """Measure, watch and publish for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measure(), name="tcs measuring")
            group.create_task(self._watch_containers(), name="tcs container health")
            group.create_task(self._watch_engine(), name="tcs engine health")
            await stay_connected("tcs", self._connect_and_publish, clock=self._clock, random=self._random)

    async def _measure(self) -> None:
        """At each interval put a window into the buffer, and all health up for publication."""
        while True:
            if not self._config.disable_metrics:
                tasks = self._engine.task_metrics(PUBLISH_INTERVAL_S)
                self._windows.append(Window(self._clock.now(), tasks))
            self._everything_is_due()
            await asyncio.sleep(PUBLISH_INTERVAL_S)

    async def _watch_containers(self) -> None:
        while True:
            await self._engine.wait_for_health_change()
            self._health_due = True
            self._due.set()

    async def _watch_engine(self) -> None:
        while True:
            await self._health.wait_for_change()
            self._status_due = True
            self._due.set()

    def _everything_is_due(self) -> None:
        self._health_due = self._status_due = True
        self._due.set()

    async def _connect_and_publish(self) -> None:
        arn = self._identity.current.container_instance_arn
        if arn is None:
            raise BadEndpoint("this machine is not registered yet")
        endpoint = (await self._discovery.endpoints(arn)).telemetry
        if endpoint is None:
            self._discovery.doubt(arn)
            raise BadEndpoint("the controller names no telemetry endpoint")
        url = websocket_url(endpoint, self._parameters(arn))
        try:
            socket = await self._client.open_websocket(url)
        except UpgradeRefused as refusal:
            code, message = read_error(refusal.body, refusal.headers)
            log.warning("telemetry_refused", status=refusal.status, code=code, message=message)
            raise
        except ConnectionEnded:
            self._discovery.doubt(arn)
            raise
        self._connected = True
        self._client.metrics.connections.labels("tcs").inc()
        async with closed_in_order(socket):
            try:
                self._everything_is_due()
                await until_first_ends(
                    self._read(socket), self._publish(socket, url, arn), expire(self._random)
                )
            finally:
                self._connected = False

    def _parameters(self, container_instance_arn: str) -> dict[str, str]:
        parameters = {
            "agentHash": AGENT_HASH,
            "agentVersion": __version__,
            "cluster": self._config.cluster,
            "containerInstance": container_instance_arn,
        }
        if self._engine.docker_version:
            parameters["dockerVersion"] = self._engine.docker_version
        return parameters

    async def _read(self, socket: Websocket) -> None:
        """Acknowledgements and heartbeats need no answer; they only show that somebody is there."""
        while True:
            frame = await socket.receive(within_s=PATIENCE_S)
            try:
                message = decode_tcs(frame)
            except MalformedFrame as error:
                log.warning("frame_malformed", connection="tcs", error=str(error))
                continue
            if type(message).__name__.endswith("Exception"):
                log.warning("telemetry_not_taken", type=type(message).__name__, message=str(message))

    async def _publish(self, socket: Websocket, url: str, container_instance: str) -> None:
        """Send whatever is due, as soon as it is."""
        while True:
            await self._due.wait()
            self._due.clear()
            if self._identity.current.container_instance_arn != container_instance:
                raise ConnectionEnded("this machine is another container instance by now")
            for message in self._take_health(container_instance):
                await self._send(socket, url, message)
            while self._windows:
                window = self._windows[0]
                for metrics in metrics_messages(window, self._config.cluster, container_instance, _new_id):
                    await self._send(socket, url, metrics)
                # A full buffer may have dropped the window meanwhile.
                if self._windows[0] is window:
                    self._windows.popleft()

    def _take_health(self, container_instance: str) -> list[msgspec.Struct]:
        cluster, now = self._config.cluster, self._clock.now()
        messages: list[msgspec.Struct] = []
        if self._health_due:
            self._health_due = False
            messages += health_messages(self._engine.task_health(), now, cluster, container_instance, _new_id)
        if self._status_due:
            self._status_due = False
            messages.append(status_message(self._health.status(), now, cluster, container_instance, _new_id))
        return messages

    async def _send(self, socket: Websocket, url: str, message: msgspec.Struct) -> None:
        body = encode(message)
        headers = self._client.sign("GET", url, {}, body.encode())
        await socket.send(join_signed_frame(headers | {"Host": host_of(url)}, body))


def _new_id() -> str:
    return str(uuid.uuid4())
