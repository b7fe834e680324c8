"""The controller as a whole: builds its parts, supervises them, and ends them in order."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from aiohttp import web

from agent.protocol.clock import Clock
from agent.protocol.service_manager import ServiceManager
from agent.protocol.supervision import Supervisor
from controller.api.access_keys import KeyPair
from controller.api.authentication import Authenticator
from controller.api.context import IdSource
from controller.api.dispatch import Service, ecs_service, homeport_service, sts_service
from controller.api.front_door import FrontDoor
from controller.api.instance_keys import InstanceKeys
from controller.api.join_desk import JoinDesk
from controller.api.join_tokens import JoinTokens
from controller.api.monitoring import Monitoring, ensure_metrics_token
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.homeport import FOR_EVERYONE, HomeportOperations
from controller.api.operations.joining import JoinOperations
from controller.api.operations.roles import ROLE_OPERATIONS
from controller.api.operations.secrets import SecretOperations
from controller.api.operations.sts import STS_OPERATIONS
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.api.operations.tls import TlsOperations
from controller.api.operations.users import UserOperations
from controller.api.service_model import load_service_model
from controller.api.users import Users
from controller.aws.calls import Aws
from controller.aws.roles import AwsRoles
from controller.aws.values import AwsValues
from controller.bootstrap import listen, open_keyring, open_store, prepare_data_dir, seed
from controller.config import ControllerConfig
from controller.gateway.gateway import Gateway
from controller.http_server import HttpServer
from controller.keyring import ClientProfile, Keyring, write_client_profile
from controller.program import Program, find_source
from controller.roles.issuing import RoleCredentialsIssuer
from controller.secrets.resolver import SecretsResolver
from controller.secrets.store import LocalSecrets
from controller.services.loop import ServiceLoop
from controller.services.protection import ProtectionEnd
from controller.services.retire import Retirement
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.lock import DataDirectoryLock
from controller.telemetry.metrics import ControllerMetrics
from controller.telemetry.utilisation import ServiceUtilisation
from controller.tls.opening import Tls, open_tls
from controller.tls.published import present_fingerprint, published_authorities
from controller.wire.desk import WireDesk

log = structlog.get_logger(__name__)

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What clients on this machine use instead."""

COLLECTOR_THRESHOLDS = (50_000, 20, 20)
"""When the garbage collector looks. By Python's own thresholds it goes through all connections of a thousand
agents again and again, tens of milliseconds each time, for cycles that are rare: records hold none."""


async def serve(
    config: ControllerConfig, clock: Clock, chosen_key: KeyPair | None, stop: asyncio.Event
) -> None:
    """Run a controller until `stop` is set.

    Raises:
        CannotStart, StoreInUse, StoreTooNew, StoreCorrupt, StoreError, OSError: it cannot start.
        RootTaskFailed: a part failed that it cannot work without.
    """
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    async with ServiceManager.of_this_process().watched():
        await _serve(config, clock, chosen_key, stop)


async def _serve(
    config: ControllerConfig, clock: Clock, chosen_key: KeyPair | None, stop: asyncio.Event
) -> None:
    prepare_data_dir(config.data_dir)
    lock = DataDirectoryLock(config.data_dir)
    try:
        with listen(config) as listening:
            state = await open_state(open_store(config, clock.now()), clock)
            try:
                with _aws(config) as aws:
                    await _serve_state(state, config, clock, chosen_key, listening, aws, stop)
            finally:
                await state.close()
    finally:
        lock.release()


async def _serve_state(
    state: State,
    config: ControllerConfig,
    clock: Clock,
    chosen_key: KeyPair | None,
    listening: socket.socket,
    aws: Aws | None,
    stop: asyncio.Event,
) -> None:
    system_random = random.SystemRandom()
    ids = IdSource(system_random)
    keyring = open_keyring(config.data_dir)
    root_key = seed(state, config, keyring, system_random, chosen_key)
    await state.flusher.flush_once()
    tls = open_tls(config, listening.getsockname()[1], clock)
    endpoint = _local_endpoint(config, listening)
    write_client_profile(config.data_dir, keyring, _profile(state, endpoint, root_key))

    metrics = ControllerMetrics(state)
    authenticator = Authenticator(state, keyring, clock, config.signature_tolerance_s)
    secrets = LocalSecrets(keyring)
    gateway = Gateway(
        state,
        config,
        clock,
        authenticator.authenticate,
        _role_credentials(state, config, clock, keyring, system_random, aws),
        SecretsResolver(state, secrets, AwsValues(aws, clock) if aws else None),
        metrics.agent_sessions,
    )
    metrics.register(ServiceUtilisation(state, gateway.utilisation))
    services = ServiceLoop(state, clock, config, ids, system_random)
    program = Program(find_source())
    keys = InstanceKeys(keyring, state.names, system_random)
    tokens = JoinTokens(state.names, keys, system_random)
    join_operations = JoinOperations(tokens, keys, lambda: present_fingerprint(tls), program)
    front_door = FrontDoor(
        state=state,
        authenticator=authenticator,
        services=_api_services(keyring, secrets, system_random, tls, join_operations),
        config=config,
        clock=clock,
        ids=ids,
        signs_of_life=gateway.sign_of_life,
        metrics=metrics.api,
        wire=gateway.wire,
    )
    monitoring = Monitoring(state, metrics, ensure_metrics_token(config.data_dir))
    routes = [
        web.post("/", front_door.handle),
        *(web.get(path, handler) for path, handler in gateway.routes()),
        *monitoring.routes(),
        *published_authorities(tls),
        *JoinDesk(state, tokens, ids, clock).routes(),
        *program.routes(),
        *WireDesk(authenticator, gateway.wire).routes(),
    ]
    server = HttpServer(listening, routes, config.max_body_bytes, tls.context if tls else None)

    supervisor = Supervisor(_note_failure)
    supervisor.spawn("flush", state.run())
    supervisor.spawn("history", state.history.run())
    supervisor.spawn("retirement", Retirement(state, clock).run())
    supervisor.spawn("protection", ProtectionEnd(state, clock).run())
    supervisor.spawn("services", services.run())
    if tls:
        supervisor.spawn("tls", tls.run())
    await server.start()
    supervisor.spawn("http", server.run())
    # Ended first: agents are told to come back while calls in flight can still be answered.
    supervisor.spawn("gateway", gateway.run())
    log.info("controller_started", endpoint=endpoint, data_dir=str(config.data_dir), epoch=state.meta.epoch)
    ServiceManager.of_this_process().ready(f"serving {endpoint}")
    async with _exit_timer(stop, config.shutdown_timeout_s):
        await supervisor.run_until(stop)
    log.info("controller_stopped")


def _role_credentials(
    state: State,
    config: ControllerConfig,
    clock: Clock,
    keyring: Keyring,
    source: random.Random,
    aws: Aws | None,
) -> RoleCredentialsIssuer:
    roles = AwsRoles(aws, state.meta.region) if aws else None
    return RoleCredentialsIssuer(state, keyring, clock, source, config.role_credentials_lifetime_s, roles)


@contextmanager
def _aws(config: ControllerConfig) -> Iterator[Aws | None]:
    """The real AWS, where the operator has named a profile to ask it with."""
    if config.aws_profile is None:
        yield None
        return
    aws = Aws(config.aws_profile)
    try:
        yield aws
    finally:
        aws.close()


def _api_services(
    keyring: Keyring,
    secrets: LocalSecrets,
    source: random.Random,
    tls: Tls | None,
    join_operations: JoinOperations,
) -> dict[str, Service]:
    """What the front door offers, by signing name."""
    services = (
        ecs_service(load_service_model("ecs"), ECS_OPERATIONS, TYPED_OPERATIONS),
        homeport_service(
            {
                **HomeportOperations(keyring, source).typed(),
                **ROLE_OPERATIONS,
                **SecretOperations(secrets).typed(),
                **TlsOperations(tls).typed(),
                **UserOperations(Users(keyring, source)).typed(),
                **join_operations.typed(),
            },
            FOR_EVERYONE,
        ),
        sts_service(STS_OPERATIONS),
    )
    return {service.signing_name: service for service in services}


def _note_failure(name: str, error: BaseException) -> None:
    log.critical("root_task_failed", task=name, exc_info=error)


def _local_endpoint(config: ControllerConfig, listening: socket.socket) -> str:
    if config.tls_certificate is not None and config.public_url is not None:
        return config.public_url.rstrip("/")  # the certificate that was given names this one, not the machine
    host, port = listening.getsockname()[:2]
    host = ANYWHERE.get(host, host)
    scheme = "https" if config.serves_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _profile(state: State, endpoint: str, key: KeyPair) -> ClientProfile:
    return ClientProfile(
        endpoint, state.meta.region, state.meta.account, key.access_key_id, key.secret_access_key
    )


@asynccontextmanager
async def _exit_timer(stop: asyncio.Event, timeout_s: float) -> AsyncIterator[None]:
    """End the process by force when an ordered shutdown takes too long; what was acknowledged is durable."""

    async def arm() -> None:
        await stop.wait()
        ServiceManager.of_this_process().stopping(within_s=timeout_s)
        timer = threading.Timer(timeout_s, os._exit, args=(1,))
        timer.daemon = True
        timer.start()

    armed = asyncio.create_task(arm(), name="exit-timer")
    try:
        yield
    finally:
        armed.cancel()
