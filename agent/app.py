"""Builds the parts of the agent, runs them until told to stop, and ends them in order. Containers go on."""

import asyncio
import fcntl
import gc
import os
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

import structlog
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from agent import __version__
from agent.config import AgentConfig
from agent.endpoints.introspection import introspection_app
from agent.endpoints.metadata import Surroundings
from agent.endpoints.metrics import AgentCollector, metrics_app
from agent.endpoints.rate_limit import limited_to
from agent.endpoints.server import LocalServer
from agent.endpoints.storage import StorageCollector, storage_routes
from agent.endpoints.tags import Tags
from agent.endpoints.task_address import TaskAddress
from agent.endpoints.task_protection import TaskProtection
from agent.endpoints.task_server import TaskServer, task_app
from agent.engine.engine import TaskEngine
from agent.engine.errors import EngineError
from agent.engine.states import Status
from agent.host import ec2
from agent.host.attributes import EngineFacts, engine_facts
from agent.host.instance_metadata import InstanceMetadata
from agent.host.machine import Ec2Instance, Machine, going_down, read_machine
from agent.host.resources import Resource, total_resources
from agent.identity import IdentityFile
from agent.membership import MembershipFile
from agent.protocol.clock import SystemClock
from agent.protocol.resources import Resources
from agent.protocol.service_manager import ServiceManager
from agent.protocol.signing import Credentials
from agent.protocol.supervision import Supervisor
from agent.session.api import ControlPlaneClient
from agent.session.control_plane import ControlPlane
from agent.session.draining import DrainOnExit, drain
from agent.session.interruption import InterruptionWatch
from agent.session.joining import Joining
from agent.session.metrics import SessionMetrics
from agent.session.secrets_exchange import SecretsExchange
from agent.session.server_time import ServerTime
from agent.session.trust import Trust
from agent.stop_order import StopOrder

T = TypeVar("T")
log = structlog.get_logger(__name__)

LOCK_NAME = "agent.lock"
_FACTS_RETRY_S = 1.0


class DataDirectoryError(Exception):
    """The data directory cannot be used: another agent works on it, or the system refuses it."""


def hold_data_dir(data_dir: Path) -> int:
    """Make the data directory and lock it for this process's life. Returns the lock's file descriptor.

    Raises ``DataDirectoryError``.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirectoryError(f"the data directory cannot be used: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise DataDirectoryError(f"another agent uses the data directory {data_dir}") from error
    return lock


async def run(config: AgentConfig) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises ``RootTaskFailed`` if a part of it fails, and what ``hold_data_dir``, ``IdentityFile.load``,
    ``total_resources``, ``TaskEngine`` and its ``start`` raise about settings and files that cannot be used.
    """
    order = StopOrder(config.drain_on_exit_s)
    order.listen()
    async with ServiceManager.of_this_process().watched(), AsyncExitStack() as parts:
        parts.callback(os.close, hold_data_dir(config.data_dir))
        await _run_parts(config, order, parts)
    log.info("agent_ended")


@dataclass(frozen=True, kw_only=True)
class _Host:
    """The machine with its engine, as far as it goes without a controller."""

    config: AgentConfig
    """With what the machine says of itself, where nobody chose otherwise."""
    machine: Machine
    metadata: InstanceMetadata
    instance: Ec2Instance | None
    identity: IdentityFile
    resources: tuple[Resource, ...]
    address: TaskAddress
    secrets: SecretsExchange
    engine: TaskEngine
    engine_facts: EngineFacts


async def _run_parts(config: AgentConfig, order: StopOrder, parts: AsyncExitStack) -> None:
    clock, random, registry = SystemClock(), Random(), CollectorRegistry()
    host = await _start_host(config, order, parts, clock, random, registry)
    if host is None:
        return
    config, engine, identity = host.config, host.engine, host.identity
    trust = Trust(config.controller_url, config.ca_file, config.authority_fingerprint, config.data_dir)
    joining = None if config.credentials else _joining(config, identity)
    credentials = await _unless(order.given, _admitted(config, trust, joining, host.machine, random))
    if credentials is None:
        return
    client = await parts.enter_async_context(
        ControlPlaneClient(
            config.controller_url,
            config.region,
            credentials,
            ServerTime(clock),
            clock,
            SessionMetrics(registry),
            trust.context,
        )
    )
    control_plane = ControlPlane(
        client=client,
        config=config,
        machine=host.machine,
        identity=identity,
        resources=host.resources,
        engine=engine,
        engine_facts=host.engine_facts,
        secrets=host.secrets,
        clock=clock,
        random=random,
    )
    # What was loaded stays for the process's life; the garbage collector need not look at it again.
    gc.freeze()
    ended = asyncio.Event()
    supervisor = Supervisor(_log_failure)
    supervisor.spawn("engine", engine.run())
    supervisor.spawn("task address", host.address.run())
    servers = _local_servers(config, engine, identity, control_plane, registry)
    servers["tasks"] = _task_server(config, engine, identity, client, clock)
    for name, server in servers.items():
        supervisor.spawn(f"endpoint {name}", server.run())
    supervisor.spawn("control plane", control_plane.run())
    supervisor.spawn("trust", trust.run())
    if joining is not None:
        supervisor.spawn("credentials", joining.run(client))
    if host.instance is not None and host.instance.spot:
        supervisor.spawn("interruption notices", _interruption_watch(host, client).run())
    drainer = DrainOnExit(client, config.cluster, identity, engine.known_tasks, config.drain_on_exit_s)
    supervisor.spawn("placement", _take_part(control_plane, drainer))
    supervisor.spawn("farewell", _say_goodbye(order, control_plane, drainer, ended))
    await supervisor.run_until(ended)


async def _start_host(
    config: AgentConfig,
    order: StopOrder,
    parts: AsyncExitStack,
    clock: SystemClock,
    random: Random,
    registry: CollectorRegistry,
) -> _Host | None:
    """Start the engine and look around; None if the agent was told to end before that was done."""
    machine = read_machine()
    if config.gpu_support is False:
        machine = replace(machine, gpu_ids=())
    identity = IdentityFile.load(config.data_dir, config.cluster, machine.machine_id)
    resources = registered_resources(config, machine)
    log.info("agent_starts", version=__version__, cluster=config.cluster, controller=config.controller_url)
    address = TaskAddress(config.task_address, config.credentials_address)
    secrets = SecretsExchange(random)
    engine = TaskEngine(
        config,
        identity.current.owner,
        capacity(resources, machine.gpu_ids),
        clock,
        registry,
        endpoints_reachable=lambda: address.reachable,
        secrets_source=secrets,
    )
    parts.push_async_callback(_leave_address, address, engine)
    parts.push_async_callback(engine.stop)
    await address.open()
    service_manager = ServiceManager.of_this_process()
    service_manager.ready("waiting for the container engine")
    metadata = await parts.enter_async_context(InstanceMetadata(config.metadata_endpoint, clock))
    # The look at EC2's metadata takes most of a second where there is none: meanwhile the engine starts.
    seen = await _unless(
        order.given, asyncio.gather(_start_engine(engine, address), ec2.look(metadata, config))
    )
    if seen is None:
        return None
    facts, found = seen
    instance = await ec2.recognise(found, identity, config)
    service_manager.status(f"container instance of cluster {config.cluster} at {config.controller_url}")
    return _Host(
        config=ec2.settle(config, instance),
        machine=machine,
        metadata=metadata,
        instance=instance,
        identity=identity,
        resources=resources,
        address=address,
        secrets=secrets,
        engine=engine,
        engine_facts=facts,
    )


def _interruption_watch(host: _Host, client: ControlPlaneClient) -> InterruptionWatch:
    config, identity = host.config, host.identity
    return InterruptionWatch(
        host.metadata,
        lambda: identity.current.container_instance_arn,
        lambda arn: drain(client, config.cluster, arn),
        heed_action=config.spot_instance_draining,
        heed_rebalance=config.rebalance_draining,
    )


def _joining(config: AgentConfig, identity: IdentityFile) -> Joining:
    return Joining(config.join_token, config.controller_url, MembershipFile.load(config.data_dir), identity)


async def _admitted(
    config: AgentConfig, trust: Trust, joining: Joining | None, machine: Machine, random: Random
) -> Credentials | None:
    """Know the controller, and be known to it: what signs all calls."""
    await trust.establish()
    if joining is None:
        return config.credentials
    return (await joining.join(trust.context, machine.machine_id, random)).credentials


def _local_servers(
    config: AgentConfig,
    engine: TaskEngine,
    identity: IdentityFile,
    control_plane: ControlPlane,
    registry: CollectorRegistry,
) -> dict[str, LocalServer]:
    registry.register(AgentCollector(engine, __version__, control_plane.sessions))
    registry.register(StorageCollector(engine))
    introspection = introspection_app(
        engine,
        version=__version__,
        cluster=identity.current.cluster,
        container_instance=lambda: identity.current.container_instance_arn,
        more=storage_routes(engine),
    )
    return {
        "introspection": LocalServer("introspection", config.introspection_address, introspection),
        "metrics": LocalServer("metrics", config.metrics_address, metrics_app(registry)),
    }


def _task_server(
    config: AgentConfig,
    engine: TaskEngine,
    identity: IdentityFile,
    client: ControlPlaneClient,
    clock: SystemClock,
) -> LocalServer:
    """What tasks are served."""
    zone = "" if config.disable_task_metadata_az else config.availability_zone
    tags = Tags(client.call, lambda: identity.current.container_instance_arn)
    server = TaskServer(engine, lambda: Surroundings(identity.current.cluster, zone), tags.of)
    protection = TaskProtection(client.call, engine.credentials, server.find)
    limit = limited_to(config.task_metadata_rate, clock)
    application = task_app(server, engine.credentials, protection, limit)
    return LocalServer("tasks", config.credentials_address, application)


async def _leave_address(address: TaskAddress, engine: TaskEngine) -> None:
    """Containers that run on can still use the rules: the next start of the agent serves them again."""
    in_use = any(record.state.known is not Status.STOPPED for record in engine.records())
    await address.close(in_use=in_use)


async def _take_part(control_plane: ControlPlane, drainer: DrainOnExit) -> None:
    await control_plane.wait_until_accepted()
    await drainer.come_back()
    await asyncio.Event().wait()


async def _say_goodbye(
    order: StopOrder, control_plane: ControlPlane, drainer: DrainOnExit, ended: asyncio.Event
) -> None:
    await order.given.wait()
    await drainer.empty(order.repeated)
    await control_plane.say_goodbye(host_goes_down=await going_down())
    ended.set()


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The result of ``work``, or None if ``stop`` was set first; then ``work`` is ended."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        finished = working.done()
        working.cancel()
        stopping.cancel()
        await asyncio.wait((working, stopping))
    return working.result() if finished else None


async def _start_engine(engine: TaskEngine, address: TaskAddress) -> EngineFacts:
    """Start the engine and learn what Docker says of itself, for as long as that takes."""
    await engine.start()
    while True:
        try:
            info, version = await engine.docker_facts()
            return engine_facts(
                info,
                version,
                task_limits=engine.limits_tasks,
                task_roles=address.reachable,
                shared_namespaces=engine.shares_namespaces,
            )
        except EngineError as error:
            log.warning("docker_not_reachable", reason=error.reason, retry_in_s=_FACTS_RETRY_S)
            await asyncio.sleep(_FACTS_RETRY_S)


def registered_resources(config: AgentConfig, machine: Machine) -> tuple[Resource, ...]:
    """What this machine offers to tasks. The agent's own listening ports are never among it."""
    own = (config.introspection_address, config.credentials_address, config.metrics_address)
    return total_resources(
        machine,
        reserved_memory_mib=config.reserved_memory,
        reserved_ports=(*config.reserved_ports, *(address.port for address in own)),
        reserved_ports_udp=config.reserved_ports_udp,
    )


def capacity(resources: tuple[Resource, ...], gpu_ids: tuple[str, ...] = ()) -> Resources:
    """The same for the engine's own accounting; the ports are those that no task may have."""
    named = {resource.name: resource for resource in resources}
    return Resources(
        cpu=named["CPU"].integer_value,
        memory=named["MEMORY"].integer_value,
        ports_tcp=frozenset(int(port) for port in named["PORTS"].string_set_value or ()),
        ports_udp=frozenset(int(port) for port in named["PORTS_UDP"].string_set_value or ()),
        gpus=len(gpu_ids),
        gpu_ids=frozenset(gpu_ids),
    )


def _log_failure(name: str, error: BaseException) -> None:
    log.error("part_failed", part=name, exc_info=error)
