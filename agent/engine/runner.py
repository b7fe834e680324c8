"""Carries out the state machine's commands and feeds what came of them back to it.

Thin: what to do is decided elsewhere. Every command waits until the step that gave it is on disk, runs as
a task of its own, and is answered by exactly one event.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from agent.checkpoint import CheckpointError
from agent.engine.book import TaskRecord
from agent.engine.changes import NetworkBinding
from agent.engine.container_body import (
    CLUSTER_LABEL,
    OWNER_LABEL,
    TASK_ARN_LABEL,
    create_body,
    fixed_bindings,
    has_dynamic_ports,
    reported_bindings,
    uses_host_network,
)
from agent.engine.docker import Docker
from agent.engine.errors import (
    CannotStartContainerError,
    ContainerNameTakenError,
    DockerTimeoutError,
    EngineError,
    EngineUnavailableError,
    HostPortTakenError,
    NoSuchContainerError,
)
from agent.engine.images import Images
from agent.engine.records import ContainerInspection
from agent.engine.states import (
    Command,
    CreateContainer,
    Created,
    CreateFailed,
    Event,
    Observed,
    PrepareResources,
    Pulled,
    PullFailed,
    PullImage,
    ResourcesFailed,
    ResourcesReady,
    StartContainer,
    Started,
    StartFailed,
    StartTimedOut,
    StopContainer,
    StopFailed,
    Vanished,
    WatchStartTimeout,
)
from agent.engine.task_resources import TaskResources
from agent.protocol.arn import last_segment
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_WRITE_RETRY_S = 1.0
_PORT_ATTEMPTS = 5
_LOOK_AGAIN_S = (0.2, 1.0, 5.0)
_POLL_S = 5.0
_KILL_WAIT_S = 30.0


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How containers are made here."""

    owner: str
    """The value of the label that tells this agent's containers from those of others on the same engine."""
    dynamic_ports: tuple[int, int] | None = None
    """First and last host port that the engine may choose; None leaves the kernel's own range."""
    report_ipv6_bindings: bool = False


class Runner:
    """Turns commands into calls of the engine."""

    def __init__(
        self,
        docker: Docker,
        images: Images,
        resources: TaskResources,
        settings: RunnerSettings,
        clock: Clock,
        apply: "Callable[[TaskRecord, Event], object]",
        write: "Callable[[TaskRecord], asyncio.Future[None]]",
    ) -> None:
        """``apply`` lets an event happen to a task, ``write`` puts a task in line to be written again."""
        self._docker = docker
        self._images = images
        self._resources = resources
        self._settings = settings
        self._clock = clock
        self._apply = apply
        self._write = write
        self._under_way: set[asyncio.Task[None]] = set()

    def carry_out(
        self, record: TaskRecord, commands: tuple[Command, ...], written: "asyncio.Future[None]"
    ) -> None:
        """Start to carry out ``commands`` once ``written`` is done."""
        for command in commands:
            self.spawn(self._carry_out(record, command, written), repr(command))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` beside everything else; what it raises is logged, since nobody waits for it."""
        task = asyncio.create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work_failed", work=task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Leave everything as it is; containers are not touched."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def look(self, record: TaskRecord, container: str) -> None:
        """Ask the engine how a container is, and let the task know. Tries again if the engine does not
        tell.
        """
        for pause in (*_LOOK_AGAIN_S, None):
            try:
                event = await self._observe(record, container)
            except EngineError as error:
                log.warning(
                    "container_not_seen", task=record.plan.arn, container=container, reason=error.reason
                )
                if pause is None:
                    return  # the next reconciliation sees it
                await asyncio.sleep(pause)
            else:
                self._apply(record, event)
                return

    async def until_gone(self, record: TaskRecord) -> None:
        """Return when the engine is through with every container of a stopped task: until then it still holds
        their host ports and memory.
        """
        for plan, state in zip(record.plan.containers, record.state.containers, strict=True):
            while state.ran:
                try:
                    event = await self._observe(record, plan.name)
                except EngineError as error:
                    log.warning("container_not_seen_gone", container=plan.docker_name, reason=error.reason)
                else:
                    if isinstance(event, Vanished) or event.inspection.state != "RUNNING":
                        break
                    self._apply(record, event)
                await asyncio.sleep(_LOOK_AGAIN_S[1])

    async def _carry_out(self, record: TaskRecord, command: Command, written: "asyncio.Future[None]") -> None:
        if not isinstance(command, PrepareResources):  # which leaves nothing that a restart has to know of
            await self._on_disk(record, written)
        try:
            event = await self._answer(record, command)
        except EngineError as error:
            event = _failure(command, self._clock.now(), error)
        except Exception as error:
            log.exception("command_failed", task=record.plan.arn, command=repr(command))
            event = _failure(command, self._clock.now(), EngineError(str(error)))
        if event is not None:
            self._apply(record, event)

    async def _on_disk(self, record: TaskRecord, written: "asyncio.Future[None]") -> None:
        """Wait until the step is written, however long a full disk takes to be emptied."""
        while True:
            await asyncio.wait([written])
            try:
                written.result()
            except CheckpointError:
                await asyncio.sleep(_WRITE_RETRY_S)
                written = self._write(record)
            else:
                return

    async def _answer(self, record: TaskRecord, command: Command) -> Event | None:
        match command:
            case PrepareResources():
                await self._resources.prepare(record)
                return ResourcesReady(at=self._clock.now())
            case PullImage():
                image = await self._images.ensure(record.container(command.container).image or "")
                return Pulled(
                    at=self._clock.now(),
                    container=command.container,
                    digest=image.digest,
                    image_id=image.image_id,
                )
            case CreateContainer():
                docker_id = await self._create(record, command.container)
                return Created(at=self._clock.now(), container=command.container, docker_id=docker_id)
            case StartContainer():
                return await self._start(record, command.container)
            case StopContainer():
                return await self._stop(record, command)
            case WatchStartTimeout():
                await asyncio.sleep(command.seconds)
                return StartTimedOut(at=self._clock.now(), container=command.container)

    # --- create -----------------------------------------------------------------------------------------

    async def _create(self, record: TaskRecord, container: str) -> str:
        definition = record.container(container)
        docker_name = self._docker_name(record, container)
        body = create_body(
            record.definition,
            record.plan,
            definition,
            self._settings.owner,
            self._settings.dynamic_ports,
            self._resources.cgroup_parent(record.plan.arn),
        )
        await self._create_volumes(record, {mount.source_volume for mount in definition.mount_points})
        try:
            return await self._docker.create(docker_name, body)
        except ContainerNameTakenError:
            # An earlier life of this agent may have been ended between the call and its answer.
            there = await self._docker.inspect(docker_name)
            if there.labels.get(TASK_ARN_LABEL) != record.plan.arn:
                raise
            return there.docker_id
        except DockerTimeoutError as error:
            raise DockerTimeoutError(f"Could not transition to created; {error}") from error

    async def _create_volumes(self, record: TaskRecord, mounted: set[str | None]) -> None:
        for volume in record.plan.volumes:
            if volume.create and volume.name in mounted:
                labels = dict(volume.labels)
                if volume.task_scoped:
                    labels |= {
                        TASK_ARN_LABEL: record.plan.arn,
                        CLUSTER_LABEL: last_segment(record.definition.task_cluster_arn or ""),
                        OWNER_LABEL: self._settings.owner,
                    }
                body = {"Name": volume.source, "Driver": volume.driver, "DriverOpts": volume.driver_opts}
                await self._docker.create_volume({**body, "Labels": labels})

    # --- start ------------------------------------------------------------------------------------------

    async def _start(self, record: TaskRecord, container: str) -> Event:
        definition = record.container(container)
        docker_name = self._docker_name(record, container)
        engine_chooses = has_dynamic_ports(definition) and not uses_host_network(
            record.definition, definition
        )
        await self._resources.before_start(record)
        try:
            await self._start_until_ports_are_free(
                docker_name, attempts=_PORT_ATTEMPTS if engine_chooses else 1
            )
        except DockerTimeoutError as error:
            reason = f"{error.name}: Could not transition to started; {error}"
            return StartFailed(at=self._clock.now(), container=container, reason=reason, may_run=True)
        except CannotStartContainerError:
            seen = await self._observe(record, container)
            if isinstance(seen, Vanished) or seen.inspection.state != "RUNNING":
                raise
            return seen  # the engine's error notwithstanding
        except EngineUnavailableError as error:
            return StartFailed(at=self._clock.now(), container=container, reason=error.reason, may_run=True)
        at = self._clock.now()
        docker_id = record.state.containers[record.plan.index(container)].docker_id or docker_name
        if engine_chooses:
            bindings = await self._chosen_bindings(docker_name)
        else:
            bindings = fixed_bindings(record.definition, definition)
        return Started(at=at, container=container, docker_id=docker_id, network_bindings=bindings)

    async def _start_until_ports_are_free(self, docker_name: str, attempts: int) -> None:
        """Start a container. Where the engine chooses the ports it chooses others at every attempt."""
        for attempt in range(1, attempts + 1):
            try:
                await self._docker.start(docker_name)
            except HostPortTakenError as error:
                if attempt == attempts:
                    raise
                log.info("host_port_taken", container=docker_name, reason=str(error))
            else:
                return

    async def _chosen_bindings(self, docker_name: str) -> tuple[NetworkBinding, ...]:
        for pause in (*_LOOK_AGAIN_S, None):
            try:
                seen = await self._docker.inspect(docker_name)
                return reported_bindings(seen.ports, with_ipv6=self._settings.report_ipv6_bindings)
            except EngineError as error:
                log.warning("host_ports_unknown", container=docker_name, reason=error.reason)
                if pause is not None:
                    await asyncio.sleep(pause)
        return ()

    # --- stop -------------------------------------------------------------------------------------------

    async def _stop(self, record: TaskRecord, command: StopContainer) -> Event | None:
        """Signal, wait, kill, wait: a container counts as stopped only when the engine says so.

        The waiting is done here and not by the engine, whose own stop call would hold a thread all that time.
        """
        if command.delay:
            await asyncio.sleep(command.delay)
        event = await self._observe(record, command.container)
        if isinstance(event, Vanished) or event.inspection.state != "RUNNING":
            return event
        docker_name = self._docker_name(record, command.container)
        for signal, patience in ((event.inspection.stop_signal, command.timeout), ("SIGKILL", _KILL_WAIT_S)):
            log.info("container_signalled", container=docker_name, signal=signal, patience_s=patience)
            await self._docker.kill(docker_name, signal)
            ended = await self._until_stopped(record, command.container, patience)
            if ended is not None:
                return ended
        reason = f"CannotStopContainerError: {docker_name} still runs {_KILL_WAIT_S:g} s after SIGKILL"
        return StopFailed(at=self._clock.now(), container=command.container, reason=reason)

    async def _until_stopped(
        self, record: TaskRecord, container: str, patience: float
    ) -> "Observed | Vanished | None":
        """Wait for the engine's word that a container has ended; None if ``patience`` seconds pass before."""
        known_stopped = record.stopped[container]
        if known_stopped.is_set():
            known_stopped = asyncio.Event()  # it was started again behind our back: look for ourselves
        deadline = self._clock.monotonic() + patience
        while (left := deadline - self._clock.monotonic()) > 0:
            # A lost event must not cost more than the pause, nor a false one a busy loop.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(known_stopped.wait(), min(left, _POLL_S))
                known_stopped = asyncio.Event()
            event = await self._observe(record, container)
            if isinstance(event, Vanished) or event.inspection.state != "RUNNING":
                return event
        return None

    # --- look -------------------------------------------------------------------------------------------

    async def _observe(self, record: TaskRecord, container: str) -> Observed | Vanished:
        docker_name = self._docker_name(record, container)
        try:
            seen = await self._docker.inspect(docker_name)
        except NoSuchContainerError:
            return Vanished(at=self._clock.now(), container=container)
        return Observed(
            at=self._clock.now(),
            container=container,
            inspection=seen,
            network_bindings=self._observed_bindings(record, container, seen),
        )

    def _observed_bindings(
        self, record: TaskRecord, container: str, seen: ContainerInspection
    ) -> tuple[NetworkBinding, ...]:
        definition = record.container(container)
        if uses_host_network(record.definition, definition):
            return fixed_bindings(record.definition, definition)
        return reported_bindings(seen.ports, with_ipv6=self._settings.report_ipv6_bindings)

    @staticmethod
    def _docker_name(record: TaskRecord, container: str) -> str:
        return record.plan.containers[record.plan.index(container)].docker_name


def _failure(command: Command, at: float, error: EngineError) -> Event | None:
    match command:
        case PrepareResources():
            return ResourcesFailed(at=at, reason=error.reason)
        case PullImage():
            reason = error.reason
            if not isinstance(error, DockerTimeoutError):
                reason = f"CannotPullContainerError: {error}"
            return PullFailed(at=at, container=command.container, reason=reason)
        case CreateContainer():
            return CreateFailed(at=at, container=command.container, reason=error.reason)
        case StartContainer():
            return StartFailed(at=at, container=command.container, reason=error.reason)
        case StopContainer():
            return StopFailed(at=at, container=command.container, reason=error.reason)
        case WatchStartTimeout():
            return None
