"""The ACS websocket: the controller's orders come down here, and are answered."""

import asyncio
from random import Random

import msgspec
import structlog

from agent import __version__
from agent.config import AgentConfig
from agent.crash_points import CrashPoint, reach
from agent.host.machine import Machine
from agent.identity import IdentityFile, IdentityNotSavedError, IdentityTakenError
from agent.protocol import acs
from agent.protocol.clock import Clock
from agent.protocol.envelope import MalformedFrame, decode_acs, encode
from agent.protocol.extensions import (
    IDENTITY_IN_USE,
    PROTOCOL_PARAMETER,
    PROTOCOL_VERSION,
    GoodbyeMessage,
    HelloMessage,
    TaskSecretsAnswer,
)
from agent.session.acs_conversation import Conversation, ManifestMark
from agent.session.acs_rules import UNANNOUNCED_PATIENCE_S, inventory, patience_s
from agent.session.api import ControlPlaneClient, read_error
from agent.session.discovery import Discovery
from agent.session.engine_port import EnginePort
from agent.session.instance_health import InstanceHealth
from agent.session.reconnect import closed_in_order, expire, stay_connected
from agent.session.registration import Registration
from agent.session.secrets_exchange import SecretsExchange
from agent.session.urls import AGENT_HASH, BadEndpoint, websocket_url
from agent.session.websocket import ConnectionEnded, UpgradeRefused, Websocket, until_first_ends

log = structlog.get_logger(__name__)

WIRE_VERSION = "2"
"""ECS's ``protocolVersion``: the controller may drop an agent that does not acknowledge heartbeats."""
IDENTITY_PATIENCE_S = 120.0
"""How long another machine may have this agent's identity before this one begins a new one: longer than any
old connection of a machine that boots again counts as alive."""
BACKLOG = 64
"""Messages waiting for their handler; beyond it the socket is not read, which slows the controller down."""
# The refusals that speak of the container instance; others (throttling, signatures) pass or need an operator.
_NOT_KNOWN = frozenset(
    {
        "ClientException",
        "InvalidClusterException",
        "InvalidInstanceException",
        "InvalidParameterException",
        "ResourceNotFoundException",
    }
)


class AcsSession:
    """Holds the connection, for ever."""

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        discovery: Discovery,
        registration: Registration,
        identity: IdentityFile,
        machine: Machine,
        config: AgentConfig,
        engine: EnginePort,
        health: InstanceHealth,
        secrets: SecretsExchange,
        clock: Clock,
        random: Random,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._registration = registration
        self._identity = identity
        self._machine = machine
        self._config = config
        self._engine = engine
        self._health = health
        self._secrets = secrets
        self._clock = clock
        self._random = random
        self._mark = ManifestMark(identity.current.manifest_mark)
        self._send_credentials = True
        self._socket: Websocket | None = None
        self._patience_s = UNANNOUNCED_PATIENCE_S
        self._accepted = asyncio.Event()
        self._taken_since: float | None = None

    @property
    def connected(self) -> bool:
        """Whether the connection is open at this moment."""
        return self._socket is not None

    async def wait_until_accepted(self) -> None:
        """Return once the controller has taken this machine for its container instance, in this life.

        Until then it may be that another machine is it, of whose tasks this one knows nothing any more.
        """
        await self._accepted.wait()

    async def run(self) -> None:
        """Stay connected for ever. Raises ``IdentityTakenError`` if another machine has this identity."""
        await stay_connected("acs", self._connect_and_converse, clock=self._clock, random=self._random)

    async def say_goodbye(self, *, host_goes_down: bool) -> None:
        """Tell the controller, if it is connected, why the connection is about to end."""
        if self._socket is not None:
            try:
                await self._socket.send(
                    encode(GoodbyeMessage(expect="HOST_DOWN" if host_goes_down else "BACK_SOON"))
                )
            except ConnectionEnded as error:
                log.info("goodbye_not_sent", error=str(error))

    async def _connect_and_converse(self) -> None:
        arn = self._identity.current.container_instance_arn or await self._registration.register()
        endpoint = (await self._discovery.endpoints(arn)).acs
        if endpoint is None:
            self._discovery.doubt(arn)
            raise BadEndpoint("the controller names no endpoint")
        url = websocket_url(endpoint, self._parameters(arn))
        try:
            socket = await self._client.open_websocket(url)
        except UpgradeRefused as refusal:
            await self._on_refusal(arn, refusal)
            raise
        except ConnectionEnded:
            self._discovery.doubt(arn)
            raise
        log.info("acs_connected", container_instance_arn=arn)
        await self._note_acceptance()
        self._send_credentials = False
        self._patience_s = UNANNOUNCED_PATIENCE_S
        self._socket = socket
        self._secrets.connected(lambda message: socket.send(encode(message)))
        self._client.metrics.connections.labels("acs").inc()
        async with closed_in_order(socket):
            try:
                await self._converse(socket)
            finally:
                self._socket = None
                self._secrets.disconnected()

    def _parameters(self, container_instance_arn: str) -> dict[str, str]:
        parameters = {
            "agentHash": AGENT_HASH,
            "agentVersion": __version__,
            "clusterArn": self._config.cluster,
            "containerInstanceArn": container_instance_arn,
            "protocolVersion": WIRE_VERSION,
            "seqNum": "1",
            "sendCredentials": "true" if self._send_credentials else "false",
            PROTOCOL_PARAMETER: str(PROTOCOL_VERSION),
            # By these two a controller tells a cloned disk from the machine that it was cloned from.
            "machineId": self._machine.machine_id,
            "bootId": self._machine.boot_id,
        }
        if self._engine.docker_version:
            parameters["dockerVersion"] = f"DockerVersion: {self._engine.docker_version}"
        return parameters

    async def _on_refusal(self, arn: str, refusal: UpgradeRefused) -> None:
        """Register again when the controller does not know this container instance, or knows it as inactive.

        A controller that has never heard of the ARN, or has forgotten it, takes it back. An instance that was
        deregistered stays so, and the machine joins as a new one; the tasks that it runs stay with the agent.
        """
        self._discovery.doubt(arn)
        code, message = read_error(refusal.body, refusal.headers)
        log.warning("upgrade_refused", status=refusal.status, code=code, message=message)
        if code == IDENTITY_IN_USE:
            await self._on_identity_in_use(arn)
            return
        self._taken_since = None
        if code == "InactiveInstanceException":
            await self._registration.register_as_new()
        elif code in _NOT_KNOWN:
            await self._registration.register()

    async def _on_identity_in_use(self, arn: str) -> None:
        """Become a new container instance if another machine goes on to be this one.

        A machine that boots again is refused for a while, until its old connection counts as silent. One that
        was accepted in this very boot is no copy: it waits for the other to go, and for people to see why.
        """
        now = self._clock.monotonic()
        self._taken_since = self._taken_since or now
        if self._identity.current.boot_id == self._machine.boot_id:
            log.error("another_machine_has_this_identity", container_instance_arn=arn, next="end that one")
        elif now - self._taken_since >= IDENTITY_PATIENCE_S:
            await self._identity.begin_anew()
            log.error("this_disk_is_a_copy", original=arn, next="the next start joins as a new instance")
            raise IdentityTakenError(
                f"another machine is connected as {arn}, so this disk is a copy: "
                "this machine joins as a new container instance at its next start"
            )

    async def _note_acceptance(self) -> None:
        self._taken_since = None
        self._accepted.set()
        try:
            await self._identity.update(boot_id=self._machine.boot_id)
        except IdentityNotSavedError as error:
            log.warning("boot_not_noted", reason=str(error))

    async def _converse(self, socket: Websocket) -> None:
        await socket.send(encode(self._engine.disks()))
        await socket.send(encode(inventory(self._engine.known_tasks())))
        backlog: asyncio.Queue[msgspec.Struct | None] = asyncio.Queue(BACKLOG)
        handling = asyncio.create_task(self._handle_backlog(socket, backlog), name="acs messages")
        try:
            await until_first_ends(
                self._read(socket, backlog),
                _outcome_of(handling),
                self._tell_of_disks(socket),
                expire(self._random),
            )
        finally:
            # The message being handled is finished, so that the engine never sees half an order.
            while not backlog.empty():
                backlog.get_nowait()
            backlog.put_nowait(None)
            await asyncio.wait([handling])

    async def _tell_of_disks(self, socket: Websocket) -> None:
        while True:
            await self._engine.wait_for_disk_change()
            await socket.send(encode(self._engine.disks()))

    async def _read(self, socket: Websocket, backlog: asyncio.Queue[msgspec.Struct | None]) -> None:
        """Read until the connection ends; heartbeats are answered at once, the rest in order."""
        while True:
            frame = await socket.receive(within_s=self._patience_s)
            try:
                message = decode_acs(frame)
            except MalformedFrame as error:
                log.warning("frame_malformed", connection="acs", error=str(error))
                continue
            if isinstance(message, acs.HeartbeatMessage):
                self._health.ask()
                await socket.send(encode(acs.HeartbeatAckRequest(message_id=message.message_id)))
                continue
            if isinstance(message, TaskSecretsAnswer):
                self._secrets.answered(message)
                continue
            if isinstance(message, HelloMessage):
                self._patience_s = patience_s(message.heartbeat_interval_ms)
                self._secrets.greeted(resolves_secrets=message.resolves_secrets)
            await backlog.put(message)

    async def _handle_backlog(self, socket: Websocket, backlog: asyncio.Queue[msgspec.Struct | None]) -> None:
        conversation = Conversation(self._identity, self._mark, self._engine)
        while (message := await backlog.get()) is not None:
            try:
                replies = await conversation.answer(message)
            except ConnectionEnded:
                raise
            except Exception:
                # One order that fails must not cost the connection and all others. It stays unacknowledged,
                # so the controller sends it again.
                log.exception("message_failed", type=type(message).__name__)
                continue
            for reply in replies:
                await socket.send(encode(reply))
            if isinstance(message, acs.PayloadMessage):
                stops = any(task.desired_status == "STOPPED" for task in message.tasks)
                reach(CrashPoint.STOP_ACKNOWLEDGED if stops else CrashPoint.PAYLOAD_ACKNOWLEDGED)


async def _outcome_of(task: asyncio.Task[None]) -> None:
    """Wait for a task and pass on its exception, without ending it when the waiting is ended."""
    await asyncio.shield(task)
