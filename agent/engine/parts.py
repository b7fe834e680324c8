"""The parts of the task engine: what each is made of, and who hears of what."""

import secrets
from collections.abc import Callable
from pathlib import Path
from random import Random

import structlog
from prometheus_client import CollectorRegistry

from agent.checkpoint_opening import open_checkpoint
from agent.config import AgentConfig
from agent.config_storage import NO_LOG_LIMIT
from agent.engine import views
from agent.engine.admission import HostLedger
from agent.engine.adopter import Adopter
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.container_body import OWNER_LABEL
from agent.engine.creator import CreationSettings, Creator
from agent.engine.disk import Disks
from agent.engine.docker import Docker
from agent.engine.docker_calls import TimeLimits
from agent.engine.errors import EngineError
from agent.engine.events import EventStream
from agent.engine.image_cleanup import ImageCleanup
from agent.engine.image_ledger import ImageLedger
from agent.engine.images import Images
from agent.engine.inspector import Inspector
from agent.engine.intake import Intake
from agent.engine.janitor import TOMBSTONES_KEPT_S, Janitor
from agent.engine.log_limits import LogLimits
from agent.engine.log_routers import LogRouters
from agent.engine.observer import Observer
from agent.engine.orphaned_volumes import OrphanedVolumes
from agent.engine.others import HostWatch
from agent.engine.pause_image import PauseImage
from agent.engine.presence import EnginePresence
from agent.engine.registry_credentials import StaticCredentials
from agent.engine.role_credentials import RoleCredentials
from agent.engine.runner import Runner
from agent.engine.sampler import Sampler
from agent.engine.starter import Starter
from agent.engine.statistics import Usage
from agent.engine.stopper import Stopper
from agent.engine.storage import Storage
from agent.engine.task_cgroups import TaskCgroups
from agent.engine.task_resources import TaskResources
from agent.engine.task_secrets import NoSecrets, SecretsSource, TaskSecrets
from agent.engine.waiting import WaitingRoom
from agent.protocol.clock import Clock
from agent.protocol.resources import CPU_UNITS_PER_CPU, Resources

log = structlog.get_logger(__name__)


class EngineParts:
    """Everything that the engine is built of, each part told of those that it needs."""

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
        self._owner = owner
        self._docker_version: str | None = None
        now = clock.now()
        self._checkpoint, self._contents = open_checkpoint(
            config.data_dir, owner, now, now - TOMBSTONES_KEPT_S
        )
        self._label = f"{OWNER_LABEL}={owner}"
        self._build_connection(registry)
        self._build_images()
        self._build_running(endpoints_reachable, secrets_source or NoSecrets())
        self._build_statistics(capacity)
        self._build_upkeep()
        self._build_intake(capacity, token)

    def _build_connection(self, registry: CollectorRegistry) -> None:
        self._docker = Docker(
            registry,
            self._clock,
            host=self._config.docker_host,
            limits=_time_limits(self._config),
            pullers=self._config.image_pull_concurrency,
        )
        self._presence = EnginePresence(self._docker, self._clock, self._engine_is_back)
        self._stream = EventStream(self._docker, self._clock, self._label)
        self._cgroups = TaskCgroups(self._config, self._owner)

    def _build_images(self) -> None:
        self._image_ledger = ImageLedger(
            self._contents.images, self._clock, self._checkpoint.put_image, self._checkpoint.forget_image
        )
        self._images = Images(
            self._docker,
            self._config.image_pull_behavior,
            StaticCredentials.parse(self._config.engine_auth_type, self._config.engine_auth_data),
            self._image_ledger,
            self._clock,
        )
        self._pause = PauseImage(self._docker)
        self._routers = LogRouters(self._docker, self._config.data_dir, wait=not self._config.firelens_async)

    def _build_running(self, endpoints_reachable: Callable[[], bool], secrets_source: SecretsSource) -> None:
        """What turns commands into containers, and the book of tasks."""
        task_secrets = TaskSecrets(secrets_source, self._clock)
        self._resources = TaskResources(self._cgroups, task_secrets, self._routers)
        self._inspector = Inspector(
            self._docker, self._clock, report_ipv6_bindings=not self._config.exclude_ipv6_port_binding
        )
        self._log_limits = LogLimits(
            None if self._config.log_max_size == NO_LOG_LIMIT else self._config.log_max_size,
            self._config.log_max_files,
        )
        making = CreationSettings(
            owner=self._owner,
            dynamic_ports=self._config.dynamic_host_port_range,
            endpoints_reachable=endpoints_reachable,
            logs_as_execution_role=self._config.awslogs_execution_role,
            log_limits=self._log_limits,
            spoken_for=lambda: self._room.ports_spoken_for(),
        )
        self._runner = Runner(
            self._presence,
            self._images,
            self._pause,
            self._resources,
            self._inspector,
            Creator(self._docker, self._resources, making, self._clock),
            Starter(self._docker, self._resources, self._inspector, self._clock),
            Stopper(self._docker, self._inspector, self._clock),
            self._clock,
            apply=lambda record, event: self._book.apply(record, self._resources.hidden(record, event)),
            write=lambda record: self._book.write(record),
        )
        self._book = TaskBook(self._checkpoint, self._runner.carry_out, self._task_ended)
        self._observer = Observer(
            self._book,
            self._docker,
            self._stream,
            self._runner,
            self._inspector,
            self._presence,
            self._clock,
            self._label,
        )

    def _build_statistics(self, capacity: Resources) -> None:
        self._usage = Usage(max(1, capacity.cpu // CPU_UNITS_PER_CPU))
        self._sampler = Sampler(
            self._docker,
            self._clock,
            self._usage,
            lambda: views.running_containers(self._book),
            self._config.metrics_interval_s,
            self._config.cgroup_path,
        )

    def _build_upkeep(self) -> None:
        """What removes, and what finds again."""
        self._janitor = Janitor(
            self._book,
            self._docker,
            self._resources.remove,
            self._clock,
            self._config.task_cleanup_wait_s,
            self._config.stopped_tasks_kept,
            self._contents.tombstones,
            longer_s=lambda: Random().uniform(0, self._config.task_cleanup_jitter_s),
        )
        self._adopter = Adopter(
            self._book,
            self._checkpoint,
            self._observer,
            self._janitor,
            self._clock,
            self._config.container_stop_timeout_s,
        )
        cleanup = ImageCleanup(
            self._docker, self._images, self._image_ledger, self._book, self._config.images_kept
        )
        self._storage = Storage(
            Disks(),
            self._docker,
            self._janitor,
            cleanup,
            OrphanedVolumes(self._docker, self._book, self._owner),
            self._image_ledger,
            self._config,
            self._clock,
        )

    def _build_intake(self, capacity: Resources, token: Callable[[], str]) -> None:
        self._credentials = RoleCredentials()
        self._others = HostWatch(
            self._docker,
            _engine_socket(self._config),
            count_memory=self._config.count_memory_in_use,
        )
        self._room = WaitingRoom(
            HostLedger(capacity), self._others, self._book, self._clock, self._config.host_wait_s
        )
        self._intake = Intake(
            self._book,
            self._room,
            self._janitor,
            self._runner,
            self._credentials,
            self._pause,
            self._clock,
            self._config.container_stop_timeout_s,
            token,
        )

    def _task_ended(self, record: TaskRecord) -> None:
        self._resources.forget(record.plan.arn)
        self._intake.ended(record)

    def _engine_is_back(self) -> None:
        self._runner.spawn(self._meet_again(), "meet the engine again")

    async def _meet_again(self) -> None:
        """The engine may be another version now, which speaks another version of its API; and what happened
        meanwhile is found out.
        """
        try:
            self._docker_version = (await self._docker.open()).version
        except EngineError as error:
            log.warning("engine_gone_again", reason=error.reason)
        await self._observer.catch_up()


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
