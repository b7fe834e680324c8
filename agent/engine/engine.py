"""The task engine: desired state in, running containers and state changes out.

The parts stand in ``parts``; decisions are made in ``transitions``, ``admission`` and ``ordering``. At a
start it opens the event stream before it looks at the containers, so that nothing falls between the two.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from agent.engine import views
from agent.engine.book import TaskRecord
from agent.engine.cgroups import Running
from agent.engine.changes import KnownTask, RejectedTask
from agent.engine.details import ContainerDetails
from agent.engine.disk_usage import DiskUsage
from agent.engine.errors import EngineError, EngineUnavailableError
from agent.engine.image_ledger import PulledImage
from agent.engine.outbox import Outbox
from agent.engine.parts import EngineParts
from agent.engine.pull_progress import PullProgress
from agent.engine.role_credentials import RoleCredentials
from agent.engine.samples import Sample
from agent.engine.states import Status
from agent.engine.waiting import Account
from agent.protocol import acs, tcs
from agent.protocol.extensions import InstanceDiskMessage

log = structlog.get_logger(__name__)

_RETRY_S = (0.5, 1.0, 2.0, 5.0)
_COMPARE_S = 300.0
_HOUSEKEEPING_S = 30.0


class TaskEngine(EngineParts):
    """Runs the tasks of one container instance on one Docker engine."""

    # --- life -------------------------------------------------------------------------------------------

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

    async def _keep_house(self) -> None:
        period = min(_HOUSEKEEPING_S, max(1.0, self._config.task_cleanup_wait_s / 2))
        next_comparison = self._clock.monotonic() + _COMPARE_S
        while True:
            await asyncio.sleep(period)
            await self._janitor.clean_up()
            if self._clock.monotonic() >= next_comparison:
                await self._observer.compare()
                next_comparison = self._clock.monotonic() + _COMPARE_S
