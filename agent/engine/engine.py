"""The task engine: desired state in, running containers and state changes out.

It owns the parts and says who hears of what; decisions are made in ``transitions``, ``admission`` and
``ordering``. At a start it opens the event stream before it looks at the containers, so that nothing
falls between the two.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from agent.checkpoint_opening import open_checkpoint
from agent.config import AgentConfig
from agent.config_storage import NO_LOG_LIMIT
from agent.engine import views
from agent.engine.admission import HostLedger
from agent.engine.adopter import Adopter
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.cgroups import Running
from agent.engine.changes import KnownTask, RejectedTask
from agent.engine.container_body import OWNER_LABEL
from agent.engine.creator import CreationSettings, Creator
from agent.engine.details import ContainerDetails
from agent.engine.disk import Disks
from agent.engine.disk_usage import DiskUsage
from agent.engine.docker import Docker
from agent.engine.docker_calls import TimeLimits
from agent.engine.errors import EngineError, EngineUnavailableError
from agent.engine.events import EventStream
from agent.engine.image_cleanup import ImageCleanup
from agent.engine.image_ledger import ImageLedger, PulledImage
from agent.engine.images import Images
from agent.engine.inspector import Inspector
from agent.engine.intake import Intake
from agent.engine.janitor import TOMBSTONES_KEPT_S, Janitor
from agent.engine.log_limits import LogLimits
from agent.engine.log_routers import LogRouters
from agent.engine.observer import Observer
from agent.engine.orphaned_volumes import OrphanedVolumes
from agent.engine.others import HostWatch
from agent.engine.outbox import Outbox
from agent.engine.pause_image import PauseImage
from agent.engine.presence import EnginePresence
from agent.engine.pull_progress import PullProgress
from agent.engine.registry_credentials import StaticCredentials
from agent.engine.role_credentials import RoleCredentials
from agent.engine.runner import Runner
from agent.engine.sampler import Sampler
from agent.engine.samples import Sample
from agent.engine.starter import Starter
from agent.engine.states import Status
from agent.engine.statistics import Usage
from agent.engine.stopper import Stopper
from agent.engine.storage import Storage
from agent.engine.task_cgroups import TaskCgroups
from agent.engine.task_resources import TaskResources
from agent.engine.task_secrets import NoSecrets, SecretsSource, TaskSecrets
from agent.engine.waiting import Account, WaitingRoom
from agent.protocol import acs, tcs
from agent.protocol.clock import Clock
from agent.protocol.extensions import InstanceDiskMessage
from agent.protocol.resources import CPU_UNITS_PER_CPU, Resources

log = structlog.get_logger(__name__)

_RETRY_S = (0.5, 1.0, 2.0, 5.0)
_COMPARE_S = 300.0
_HOUSEKEEPING_S = 30.0


class TaskEngine:
    """Runs the tasks of one container instance on one Docker engine."""

    def __init__(
        self,
        config: AgentConfig,
        owner: str,
        capacity: Resources,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        token: Callable[[], str] = lambda: secrets.token_hex(10),
        endpoints_reachable: Callable[[], bool] = lambda: False,
        secrets_source: SecretsSource | None = None,
    ) -> None:
        """``owner`` marks what belongs to this agent's identity. ``capacity`` is what this machine registers;
        its ports are those that no task may have.

        ``token`` gives the random part of the names of containers and volumes; ``endpoints_reachable`` tells
        whether containers can reach the agent's endpoints. ``secrets_source`` is asked for the secrets of
        tasks; without one, tasks that have some are stopped.

        Opens the checkpoint: raises ``CheckpointError`` if it is in use or cannot be read.
        """
        self._config = config
        self._clock = clock
        now = clock.now()
        self._checkpoint, self._contents = open_checkpoint(
            config.data_dir, owner, now, now - TOMBSTONES_KEPT_S
        )
        label = f"{OWNER_LABEL}={owner}"
        self._docker = Docker(
            registry,
            clock,
            host=config.docker_host,
            limits=_time_limits(config),
            pullers=config.image_pull_concurrency,
        )
        self._presence = EnginePresence(self._docker, clock, self._catch_up)
        self._stream = EventStream(self._docker, clock, label)
        self._cgroups = TaskCgroups(config, owner)
        self._image_ledger = ImageLedger(
            self._contents.images, clock, self._checkpoint.put_image, self._checkpoint.forget_image
        )
        self._images = Images(
            self._docker,
            config.image_pull_behavior,
            StaticCredentials.parse(config.engine_auth_type, config.engine_auth_data),
            self._image_ledger,
            clock,
        )
        self._pause = PauseImage(self._docker)
        self._routers = LogRouters(self._docker, config.data_dir, wait=not config.firelens_async)
        task_secrets = TaskSecrets(secrets_source or NoSecrets(), clock)
        resources = TaskResources(self._cgroups, task_secrets, self._routers)
        inspector = Inspector(self._docker, clock, report_ipv6_bindings=not config.exclude_ipv6_port_binding)
        self._log_limits = LogLimits(
            None if config.log_max_size == NO_LOG_LIMIT else config.log_max_size, config.log_max_files
        )
        making = CreationSettings(
            owner=owner,
            dynamic_ports=config.dynamic_host_port_range,
            endpoints_reachable=endpoints_reachable,
            logs_as_execution_role=config.awslogs_execution_role,
            log_limits=self._log_limits,
            spoken_for=lambda: self._room.ports_spoken_for(),
        )
        self._runner = Runner(
            self._presence,
            self._images,
            self._pause,
            resources,
            inspector,
            Creator(self._docker, resources, making, clock),
            Starter(self._docker, resources, inspector, clock),
            Stopper(self._docker, inspector, clock),
            clock,
            apply=lambda record, event: self._book.apply(record, resources.hidden(record, event)),
            write=lambda record: self._book.write(record),
        )
        self._book = TaskBook(
            self._checkpoint, self._runner.carry_out, lambda record: self._task_ended(record, resources)
        )
        self._usage = Usage(max(1, capacity.cpu // CPU_UNITS_PER_CPU))
        self._sampler = Sampler(
            self._docker,
            clock,
            self._usage,
            lambda: views.running_containers(self._book),
            config.metrics_interval_s,
            config.cgroup_path,
        )
        self._observer = Observer(
            self._book, self._docker, self._stream, self._runner, inspector, self._presence, clock, label
        )
        self._janitor = Janitor(
            self._book,
            self._docker,
            resources.remove,
            clock,
            config.task_cleanup_wait_s,
            config.stopped_tasks_kept,
            self._contents.tombstones,
            longer_s=lambda: Random().uniform(0, config.task_cleanup_jitter_s),
        )
        self._adopter = Adopter(
            self._book,
            self._checkpoint,
            self._observer,
            self._janitor,
            clock,
            config.container_stop_timeout_s,
        )
        cleanup = ImageCleanup(self._docker, self._images, self._image_ledger, self._book, config.images_kept)
        self._storage = Storage(
            Disks(),
            self._docker,
            self._janitor,
            cleanup,
            OrphanedVolumes(self._docker, self._book, owner),
            self._image_ledger,
            config,
            clock,
        )
        self._credentials = RoleCredentials()
        self._others = HostWatch(
            self._docker,
            _engine_socket(config),
            count_memory=config.count_memory_in_use,
        )
        self._room = WaitingRoom(HostLedger(capacity), self._others, self._book, clock, config.host_wait_s)
        self._intake = Intake(
            self._book,
            self._room,
            self._janitor,
            self._runner,
            self._credentials,
            self._pause,
            clock,
            config.container_stop_timeout_s,
            token,
        )
        self._docker_version: str | None = None

    # --- life -------------------------------------------------------------------------------------------

    def _task_ended(self, record: TaskRecord, resources: TaskResources) -> None:
        resources.forget(record.plan.arn)
        self._intake.ended(record)

    async def start(self) -> None:
        """Wait for the Docker engine, take up what was going on, and settle what happened meanwhile.

        Raises ``TaskLimitsRequiredError``.
        """
        await self._persist(self._connect)
        await self._observer.open()
        for stored in self._contents.tasks:
            self._book.add(TaskRecord(stored.definition, stored.plan, stored.state))
            if stored.state.known is not Status.STOPPED:
                self._credentials.keep_of_payload(stored.definition)
        await self._persist(self._adopter.adopt)
        await self._persist(self._compare_all)
        self._adopter.settle()
        await self._cgroups.remove_orphans([record.plan.arn for record in self._book])
        await self._storage.look()
        self._intake.resume()
        log.info("engine_started", tasks=len(self._book), docker=self._docker_version)

    async def run(self) -> None:
        """React to the Docker engine for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._observer.follow(), name="engine events")
            group.create_task(self._presence.watch(), name="engine presence")
            group.create_task(self._sampler.run(), name="container statistics")
            group.create_task(self._room.watch(), name="waiting tasks")
            group.create_task(self._keep_house(), name="engine housekeeping")
            group.create_task(self._storage.run(), name="disks")

    async def stop(self) -> None:
        """Let go of everything in order; containers go on as they are."""
        await self._stream.stop()
        await self._runner.close()
        await self._images.close()
        await self._storage.close()
        await self._cgroups.close()
        await self._others.close()
        await self._checkpoint.close()
        await self._docker.close()

    async def _persist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` that the Docker engine is needed for, again and again until the engine lets it
        succeed.
        """
        for attempt in itertools.count():
            try:
                await work()
                return
            except EngineError as error:
                pause = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
                log.warning("docker_not_reachable", reason=error.reason, retry_in_s=pause)
                await asyncio.sleep(pause)

    async def _connect(self) -> None:
        self._docker_version = (await self._docker.open()).version
        info, _ = await self._docker.facts()
        self._log_limits.learn(info)
        await self._cgroups.open(info)
        self._pause.open(info)
        self._routers.open(info)

    async def _compare_all(self) -> None:
        if not await self._observer.compare(look_at_all=True):
            raise EngineUnavailableError("the engine did not list its containers")

    # --- what the sessions ask ----------------------------------------------------------------------------

    @property
    def changes(self) -> Outbox:
        """The states that the controller has not acknowledged yet."""
        return self._book.outbox

    @property
    def docker_version(self) -> str | None:
        """The version of the Docker engine; None until it has answered once."""
        return self._docker_version

    @property
    def limits_tasks(self) -> bool:
        """Whether CPU and memory of tasks as a whole are limited here."""
        return self._cgroups.enforced

    @property
    def shares_namespaces(self) -> bool:
        """Whether containers of a task can share namespaces of their own here."""
        return self._pause.reference is not None

    def disks(self) -> InstanceDiskMessage:
        """Whether the disks that tasks fill have room."""
        return views.disks(self._storage.condition)

    async def disk_usage(self) -> DiskUsage:
        """Who holds what of the disks. Raises ``EngineError``."""
        return await self._storage.usage()

    def pulls(self) -> tuple[PullProgress, ...]:
        """Every pull of an image that is under way or waits for its turn."""
        return self._images.progress()

    def pulled_images(self) -> tuple[PulledImage, ...]:
        """Every image that this agent has pulled."""
        return self._image_ledger.all()

    async def wait_for_disk_change(self) -> None:
        """Return when something about the disks has changed since the last return."""
        await self._storage.wait_for_change()

    async def docker_facts(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The Docker engine's answers to ``/info`` and ``/version``. Raises ``EngineError``."""
        return await self._docker.facts()

    async def accept(self, tasks: Sequence[acs.Task]) -> tuple[RejectedTask, ...]:
        """Take over desired state, stops first; durable when it returns. Known ARNs only move forward.

        A task that cannot be read is returned, and reported STOPPED with the reason. Raises
        ``CheckpointError`` if the tasks could not be written: they must not be acknowledged then.
        """
        return await self._intake.accept(tasks)

    async def stop_tasks(self, task_arns: Iterable[str]) -> None:
        """Stop tasks; durable when it returns. ARNs that are not known are passed over."""
        await self._intake.stop(task_arns)

    def known_tasks(self) -> tuple[KnownTask, ...]:
        """Every task that the agent knows, stopped ones that are not removed yet included."""
        return views.known_tasks(self._book)

    def records(self) -> tuple[TaskRecord, ...]:
        """Every task with its definition and state, for the introspection endpoint."""
        return tuple(self._book)

    def account(self) -> Account:
        """The host's resources: what there is, who holds how much, and who waits for what."""
        return self._room.account()

    @property
    def absence(self) -> str:
        """How it showed that the Docker engine is away; empty while it is there."""
        return self._presence.absence

    async def healthy(self) -> bool:
        """Whether the Docker engine answers within five seconds."""
        return await self._presence.check()

    def set_credentials(self, message: acs.IAMRoleCredentialsMessage) -> bool:
        """Keep the credentials of a task's role, in memory only. False if the task is not known."""
        record = self._book.get(message.task_arn or "")
        if record is None or message.role_credentials is None or record.state.known is Status.STOPPED:
            return False
        self._credentials.keep(record.plan.arn, message.role_type or "", message.role_credentials)
        return True

    def task_health(self) -> tuple[tcs.TaskHealth, ...]:
        """The health of every running container that has a health check."""
        return views.task_health(self._book)

    async def wait_for_health_change(self) -> None:
        """Return when the health of some container has changed since the last return."""
        await self._book.health_news.wait()
        self._book.health_news.clear()

    def task_metrics(self, window_s: float) -> tuple[tcs.TaskMetric, ...]:
        """Use of CPU, memory and network by the running tasks over the last ``window_s`` seconds."""
        return views.task_metrics(self._book, self._usage, self._clock.monotonic() - window_s)

    @property
    def credentials(self) -> RoleCredentials:
        """The credentials of the tasks' roles."""
        return self._credentials

    async def container_details(self, docker_name: str) -> ContainerDetails:
        """What the Docker engine says of a container. Raises ``EngineError``."""
        return await self._docker.details(docker_name)

    async def container_stats(self, docker_id: str, docker_name: str) -> Mapping[str, Any] | None:
        """Statistics of a container in the shape of the Docker Engine's API; None if it does not run."""
        return await self._sampler.stats(docker_id, docker_name)

    def container_usage(self) -> tuple[tuple[Running, Sample], ...]:
        """The newest sample of every running container."""
        return self._usage.latest()

    def _catch_up(self) -> None:
        self._runner.spawn(self._observer.catch_up(), "compare with the engine")

    async def _keep_house(self) -> None:
        period = min(_HOUSEKEEPING_S, max(1.0, self._config.task_cleanup_wait_s / 2))
        next_comparison = self._clock.monotonic() + _COMPARE_S
        while True:
            await asyncio.sleep(period)
            await self._janitor.clean_up()
            if self._clock.monotonic() >= next_comparison:
                await self._observer.compare()
                next_comparison = self._clock.monotonic() + _COMPARE_S


def _engine_socket(config: AgentConfig) -> Path | None:
    """Where the Docker engine listens; None if it is on another machine."""
    scheme, _, path = config.docker_host.partition("://")
    return Path(path) if scheme == "unix" else None


def _time_limits(config: AgentConfig) -> TimeLimits:
    return TimeLimits(
        create=config.container_create_timeout_s,
        start=config.container_start_timeout_s,
        pull=config.image_pull_timeout_s,
        pull_silence=config.image_pull_inactivity_timeout_s,
    )
