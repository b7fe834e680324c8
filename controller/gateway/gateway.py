"""The two websockets of the agents: who may open them, one session an instance and channel, and the watch
over all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agent.protocol.clock import Clock
from agent.protocol.extensions import IDENTITY_IN_USE
from controller.api.authentication import authorise_connection
from controller.api.instance_keys import can_act
from controller.config import ControllerConfig
from controller.gateway.acs_session import AcsSession
from controller.gateway.acs_writer import AcsParts, MessageNumbers
from controller.gateway.contacts import SWEEP_INTERVAL_S, Contacts
from controller.gateway.delivery import wanted_status
from controller.gateway.payload import Payloads
from controller.gateway.reconciler import Reconciler
from controller.gateway.role_credentials import CredentialsOfInstances
from controller.gateway.socket import GOING_AWAY, REFUSED, AgentSocket, new_websocket
from controller.gateway.tcs_session import TcsParts, TcsSession
from controller.gateway.upgrade import (
    ACS,
    TCS,
    Authenticate,
    Channel,
    Host,
    OutOfTime,
    Refused,
    check_upgrade,
    host_of,
    speaks_extensions,
    with_host,
)
from controller.roles.issuing import RoleCredentialsIssuer
from controller.secrets.resolver import SecretsResolver
from controller.state.changes import Cause, Change
from controller.state.entities import AccessKey, ContainerInstance, Task, instance_key
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.kernel import State
from controller.telemetry.utilisation import Utilisation
from controller.wire.tap import WireTap

log = structlog.get_logger(__name__)

MAX_SYNCHRONISING = 256
"""ACS connections that may be finding out at the same time what their agents run; more are told to come back.
Bounds what a whole fleet that reconnects at once can take."""


REVOKED = "AccessDeniedException: the credentials of this container instance were revoked"
DEREGISTERED = "InactiveInstanceException: the container instance was deregistered"
"""Why a connection ends; the name of the exception tells the ECS agent to stay away."""


class SessionGauge(Protocol):
    """Where the number of open connections is shown (prometheus_client's Gauge)."""

    def labels(self, channel: str, /) -> Any:
        """The gauge of a channel."""


class Gateway:
    """Accepts agents' connections, wakes their sessions when something changed for them, and watches their
    signs of life."""

    def __init__(
        self,
        state: State,
        config: ControllerConfig,
        clock: Clock,
        authenticate: Authenticate,
        role_credentials: RoleCredentialsIssuer,
        secrets: SecretsResolver,
        sessions_gauge: SessionGauge | None = None,
    ) -> None:
        self._state = state
        self._authenticate = authenticate
        self._gauge = sessions_gauge
        self.contacts = Contacts(state, clock, config.heartbeat_interval_s)
        self.utilisation = Utilisation(state)
        self.wire = WireTap(state, clock)
        self._acs_parts = AcsParts(
            state=state,
            clock=clock,
            config=config,
            contacts=self.contacts,
            payloads=Payloads(state.names),
            numbers=MessageNumbers(state.meta.epoch),
            reconciler=Reconciler(state),
            credentials=CredentialsOfInstances(state, role_credentials, clock),
            secrets=secrets,
        )
        self._tcs_parts = TcsParts(
            state=state, clock=clock, contacts=self.contacts, utilisation=self.utilisation
        )
        self._acs: dict[str, tuple[AcsSession, Host]] = {}
        self._tcs: dict[str, TcsSession] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._closing = False
        state.subscribe(self._follow)

    def routes(self) -> list[tuple[str, Handler]]:
        """The paths of the websockets and their handlers."""
        return [("/acs/ws", self.acs), ("/tcs/ws", self.tcs)]

    def sign_of_life(self, cluster: str, instance_id: str) -> None:
        """Note a call of an instance's agent."""
        self.contacts.sign(cluster, instance_id)

    async def run(self) -> None:
        """Watch over all contacts, for ever; ends every session when cancelled."""
        self.contacts.resume()
        try:
            while True:
                await asyncio.sleep(SWEEP_INTERVAL_S)
                for key in self.contacts.sweep():
                    if key in self._acs:
                        log.warning("agent_cut_off_after_silence", instance=key)
                        self._acs[key][0].cut()
        finally:
            await self.close()

    async def close(self) -> None:
        """End every session in order and accept no more. Agents reconnect at once to whoever takes over."""
        self._closing = True
        self.wire.end()
        sessions: list[AcsSession | TcsSession] = [session for session, _ in self._acs.values()]
        for session in [*sessions, *self._tcs.values()]:
            self._spawn(session.close(GOING_AWAY, "the controller shuts down"))
        if self._background:
            await asyncio.wait(set(self._background))
        await self._acs_parts.credentials.close()

    async def acs(self, request: web.Request) -> web.StreamResponse:
        """Handle `GET /acs/ws`."""
        try:
            instance = await self._admit(request, ACS)
            host = host_of(request.query)
            self._refuse_clone(instance, host)
            self._refuse_storm()
        except Refused as refusal:
            return self._refusal(request, refusal)
        self._note_host(instance, host)
        websocket = new_websocket()
        await websocket.prepare(request)
        socket = AgentSocket(websocket, request.transport, self.wire.connection("acs", instance))
        if not self._is_registered(instance):
            await socket.close(REFUSED, DEREGISTERED)
            return websocket
        session = AcsSession(
            self._acs_parts,
            instance,
            socket,
            extended=speaks_extensions(request.query),
            lost_credentials=request.query.get("sendCredentials") == "true",
        )
        older = self._acs.get(instance.key)
        if older is not None:
            self._spawn(older[0].close(REFUSED, "a newer connection of this container instance took over"))
        self._acs[instance.key] = session, host
        self._show_sessions()
        log.info("acs_opened", instance=instance.key, agent=host.agent_version, docker=host.docker_version)
        try:
            await self._guard(session, instance.key, ACS)
        finally:
            current = self._acs.get(instance.key)
            if current is not None and current[0] is session:
                del self._acs[instance.key]
                self.contacts.closed(instance.cluster, instance.id)
            self._show_sessions()
            log.info("acs_closed", instance=instance.key, code=websocket.close_code)
        return websocket

    async def tcs(self, request: web.Request) -> web.StreamResponse:
        """Handle `GET /tcs/ws`."""
        try:
            instance = await self._admit(request, TCS)
        except Refused as refusal:
            return self._refusal(request, refusal)
        path, _, query = request.raw_path.partition("?")

        def check_frame(headers: Mapping[str, str], body: bytes) -> None:
            caller = self._authenticate(headers, "GET", path, query, body)
            authorise_connection(caller, TCS.operation, instance.cluster, instance.id)

        websocket = new_websocket()
        await websocket.prepare(request)
        socket = AgentSocket(websocket, request.transport, self.wire.connection("tcs", instance))
        session = TcsSession(self._tcs_parts, instance, socket, check_frame)
        older = self._tcs.get(instance.key)
        if older is not None:
            self._spawn(older.close(REFUSED, "a newer connection of this container instance took over"))
        self._tcs[instance.key] = session
        self._show_sessions()
        try:
            await self._guard(session, instance.key, TCS)
        finally:
            if self._tcs.get(instance.key) is session:
                del self._tcs[instance.key]
            self._show_sessions()
        return websocket

    async def _guard(self, session: AcsSession | TcsSession, key: str, channel: Channel) -> None:
        """Run a session. A fault of ours ends this session only: others must not pay for one agent's message,
        and an agent whose connection is refused backs off and comes back."""
        try:
            await session.run()
        except Exception:  # the boundary between one agent's session and the process
            log.exception("session_failed", instance=key, channel=channel.name)
            await session.close(REFUSED, "the controller failed to handle a message")

    # --- admission ---

    async def _admit(self, request: web.Request, channel: Channel) -> ContainerInstance:
        if self._closing:
            raise Refused("ServerException", "The controller is shutting down.", 503)
        read = self._state.read()
        try:
            instance = check_upgrade(request, channel, self._authenticate, read)
        finally:
            await self._state.flushed(read.touched)
        return instance

    def _refuse_clone(self, instance: ContainerInstance, host: Host) -> None:
        current = self._acs.get(instance.key)
        if current is not None and current[0].heard and current[1].is_another_machine(host):
            log.warning("two_machines_with_one_identity", instance=instance.key)
            raise Refused(
                IDENTITY_IN_USE,
                "Another machine is connected as this container instance; is this a cloned disk?",
                403,
            )

    def _refuse_storm(self) -> None:
        if self.contacts.synchronising >= MAX_SYNCHRONISING:
            raise Refused("ServerException", "Too many agents are connecting at once.", 503)

    def _refusal(self, request: web.Request, refusal: Refused) -> web.Response:
        if isinstance(refusal, OutOfTime):
            self.contacts.skewed(refusal.instance.cluster, refusal.instance.id, refusal.skew_s)
        # A refusal that asks for patience is no news: a fleet that reconnects gets thousands.
        level = logging.INFO if refusal.status >= 500 else logging.WARNING
        log.log(level, "upgrade_refused", path=request.path, code=refusal.code, message=refusal.message)
        return refusal.response()

    def _note_host(self, instance: ContainerInstance, host: Host) -> None:
        changed = with_host(instance, host)
        if changed is instance:
            return
        cause = Cause(kind="agent", id="Poll", caller=self._state.names.instance(instance))
        try:
            with self._state.transaction(cause) as tx:
                tx.put(
                    changed,
                    f"The agent connected: version {host.agent_version}, Docker {host.docker_version}.",
                )
        except (StoreUnavailable, TooManyPendingWrites) as error:
            # Versions are for people to see; the next connection brings them again.
            log.warning("agent_version_not_booked", instance=instance.key, error=type(error).__name__)

    def _is_registered(self, instance: ContainerInstance) -> bool:
        """Whether it still is, after the moment that the upgrade took."""
        now = self._state.read().get(ContainerInstance, instance.key)
        return now is not None and now.status != "INACTIVE"

    # --- what changed ---

    def _follow(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind is Task:
                self._follow_task(change)
            elif isinstance(change.new, ContainerInstance) and change.new.status == "INACTIVE":
                self._spawn(self._dismiss(change.new))
            elif change.kind is AccessKey:
                self._follow_key(change)

    def _follow_key(self, change: Change) -> None:
        """Cut an instance off whose last own key was revoked: connections are verified when they open."""
        key = change.old
        if not isinstance(key, AccessKey) or not key.instance or not key.cluster:
            return
        if not can_act(self._state.read(), key.cluster, key.instance):
            self._spawn(self._cut_off(instance_key(key.cluster, key.instance)))

    def _follow_task(self, change: Change) -> None:
        task, old = change.new, change.old
        if not isinstance(task, Task) or task.instance is None:
            return
        wanted = wanted_status(task, self._state.meta)
        if wanted is None or (isinstance(old, Task) and wanted_status(old, self._state.meta) == wanted):
            return
        current = self._acs.get(instance_key(task.cluster, task.instance))
        if current is not None:
            current[0].wake()

    async def _cut_off(self, key: str) -> None:
        """End the sessions of an instance whose credentials were revoked."""
        current = self._acs.get(key)
        telemetry = self._tcs.get(key)
        if telemetry is not None:
            await telemetry.close(REFUSED, REVOKED)
        if current is not None:
            await current[0].close(REFUSED, REVOKED)

    async def _dismiss(self, instance: ContainerInstance) -> None:
        """End the sessions of an instance that was deregistered."""
        current = self._acs.get(instance.key)
        telemetry = self._tcs.get(instance.key)
        self.contacts.forget(instance.cluster, instance.id)
        await self._acs_parts.credentials.forget(instance.key)
        if telemetry is not None:
            await telemetry.close(REFUSED, DEREGISTERED)
        if current is not None:
            await current[0].close(REFUSED, DEREGISTERED)

    # --- odds and ends ---

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something short beside; it is waited for on shutdown, and its failure is logged."""
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_failed", exc_info=error)

    def _show_sessions(self) -> None:
        if self._gauge is not None:
            self._gauge.labels("acs").set(len(self._acs))
            self._gauge.labels("tcs").set(len(self._tcs))
