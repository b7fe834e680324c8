"""The task engine: desired state in, running containers and state changes out.

It owns the parts and says who hears of what; decisions are made in ``transitions``, ``admission`` and
``ordering``. At a start it opens the event stream before it looks at the containers, so that nothing
falls between the two.
"""

import asyncio
import hashlib
import itertools
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from agent.checkpoint import open_checkpoint
from agent.config import AgentConfig
from agent.engine.admission import HostLedger
from agent.engine.adoption import adopt
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.changes import KnownTask, RejectedTask
from agent.engine.container_body import OWNER_LABEL, uses_host_network
from agent.engine.definition import InvalidTaskError, demand, plan_task, refusal, stripped
from agent.engine.docker import Docker
from agent.engine.docker_calls import TimeLimits
from agent.engine.errors import EngineError, EngineUnavailableError
from agent.engine.events import EventStream
from agent.engine.images import Images
from agent.engine.janitor import TOMBSTONES_KEPT_S, Janitor
from agent.engine.observer import Observer
from agent.engine.outbox import Outbox
from agent.engine.runner import Runner, RunnerSettings
from agent.engine.sampler import Sampler
from agent.engine.states import (
    AdmissionDelayed,
    Admitted,
    Event,
    Resumed,
    Status,
    StopRequested,
    TaskPlan,
    reported,
)
from agent.engine.statistics import Running, Sample, Usage
from agent.engine.task_cgroups import TaskCgroups
from agent.engine.transitions import initial_state
from agent.protocol import acs, tcs
from agent.protocol.clock import Clock
from agent.protocol.resources import CPU_UNITS_PER_CPU, Resources

log = structlog.get_logger(__name__)

_RETRY_S = (0.5, 1.0, 2.0, 5.0)
_COMPARE_S = 300.0
_HOUSEKEEPING_S = 30.0
_ENDED_HERE = "TaskStateError: this task has ended on this instance before and is never started again"


class TaskEngine:
    """Runs the tasks of one container instance on one Docker engine."""

    def __init__(
        self,
        config: AgentConfig,
        capacity: Resources,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        token: Callable[[], str] = lambda: secrets.token_hex(10),
    ) -> None:
        """``capacity`` is what this machine registers; its ports are those that no task may have.

        ``token`` gives the random part of the names of containers and volumes. Opens the checkpoint: raises
        ``CheckpointError`` if it is in use or cannot be read.
        """
        self._config = config
        self._clock = clock
        self._token = token
        now = clock.now()
        self._checkpoint, self._contents = open_checkpoint(config.data_dir, now, now - TOMBSTONES_KEPT_S)
        owner = hashlib.sha256(os.fsencode(config.data_dir.resolve())).hexdigest()[:16]
        label = f"{OWNER_LABEL}={owner}"
        self._docker = Docker(
            registry,
            clock,
            host=config.docker_host,
            limits=_time_limits(config),
            pullers=config.image_pull_concurrency,
        )
        self._stream = EventStream(self._docker, clock, label)
        self._cgroups = TaskCgroups(config, owner)
        self._images = Images(self._docker, config.image_pull_behavior)
        self._runner = Runner(
            self._docker,
            self._images,
            self._cgroups,
            RunnerSettings(
                owner=owner,
                dynamic_ports=config.dynamic_host_port_range,
                report_ipv6_bindings=not config.exclude_ipv6_port_binding,
            ),
            clock,
            apply=self._apply,
            write=lambda record: self._book.write(record),
        )
        self._book = TaskBook(self._checkpoint, self._runner.carry_out, self._task_ended)
        self._ledger = HostLedger(capacity)
        self._usage = Usage(max(1, capacity.cpu // CPU_UNITS_PER_CPU))
        self._sampler = Sampler(
            self._docker, clock, self._usage, self._running, config.metrics_interval_s, config.cgroup_path
        )
        self._observer = Observer(self._book, self._docker, self._stream, self._runner, clock, label)
        self._janitor = Janitor(
            self._book,
            self._docker,
            self._cgroups.remove,
            clock,
            config.task_cleanup_wait_s,
            self._contents.tombstones,
        )
        self._credentials: dict[str, dict[str, acs.IAMRoleCredentials]] = {}
        self._docker_version: str | None = None

    # --- life -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wait for the Docker engine, take up what was going on, and settle what happened meanwhile.

        Raises ``TaskLimitsRequiredError``.
        """
        await self._persist(self._connect)
        await self._observer.open()
        for stored in self._contents.tasks:
            self._book.add(TaskRecord(stored.definition, stored.plan, stored.state))
        if self._checkpoint.to_be_rebuilt():
            await self._persist(self._adopt)
        await self._persist(self._compare_all)
        await self._cgroups.remove_orphans([record.plan.arn for record in self._book])
        self._resume()
        log.info("engine_started", tasks=len(self._book), docker=self._docker_version)

    async def run(self) -> None:
        """React to the Docker engine for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._observer.follow(), name="engine events")
            group.create_task(self._sampler.run(), name="container statistics")
            group.create_task(self._keep_house(), name="engine housekeeping")

    async def stop(self) -> None:
        """Let go of everything in order; containers go on as they are."""
        await self._stream.stop()
        await self._runner.close()
        await self._images.close()
        await self._cgroups.close()
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
        await self._cgroups.open(info)

    async def _compare_all(self) -> None:
        if not await self._observer.compare(look_at_all=True):
            raise EngineUnavailableError("the engine did not list its containers")

    async def _adopt(self) -> None:
        """Find the tasks again by the labels of their containers; finished only when they are on disk."""
        found = adopt(await self._observer.find_all(), self._config.container_stop_timeout_s)
        log.warning("tasks_adopted", tasks=len(found))
        written = set()
        for stored in found:
            record = TaskRecord(stored.definition, stored.plan, stored.state)
            self._book.add(record)
            written.add(self._book.write(record))
        await self._on_disk(written)
        self._checkpoint.mark_rebuilt()

    def _resume(self) -> None:
        """Go on with every task: those that had begun keep their share of the host, the others queue for
        it.
        """
        for record in self._book:
            self._janitor.mind(record)
            if record.state.known is Status.STOPPED:
                continue
            if any(c.known is not Status.NONE for c in record.state.containers):
                self._ledger.hold(record.plan.arn, demand(record.definition))
                self._apply(record, Admitted(at=self._clock.now()))
                self._apply(record, Resumed(at=self._clock.now()))
            elif record.state.desired is Status.STOPPED:
                self._apply(record, Resumed(at=self._clock.now()))
            else:
                self._ledger.ask(record.plan.arn, demand(record.definition))
        self._admit()

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

    async def docker_facts(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The Docker engine's answers to ``/info`` and ``/version``. Raises ``EngineError``."""
        return await self._docker.facts()

    async def accept(self, tasks: Sequence[acs.Task]) -> tuple[RejectedTask, ...]:
        """Take over desired state, stops first; durable when it returns. Known ARNs only move forward.

        A task that cannot be read is returned, and reported STOPPED with the reason. Raises
        ``CheckpointError`` if the tasks could not be written: they must not be acknowledged then.
        """
        rejected = []
        written: set[asyncio.Future[None]] = set()
        for task in sorted(tasks, key=lambda task: task.desired_status != "STOPPED"):
            refused, future = self._take(task)
            if refused is not None:
                rejected.append(refused)
            if future is not None:
                written.add(future)
        self._admit()
        await self._on_disk(written)
        return tuple(rejected)

    async def stop_tasks(self, task_arns: Iterable[str]) -> None:
        """Stop tasks; durable when it returns. ARNs that are not known are passed over."""
        records = [record for arn in task_arns if (record := self._book.get(arn)) is not None]
        await self._on_disk(
            {self._book.apply(record, StopRequested(at=self._clock.now())) for record in records}
        )

    def known_tasks(self) -> tuple[KnownTask, ...]:
        """Every task that the agent knows, stopped ones that are not removed yet included."""
        return tuple(
            KnownTask(
                task_arn=record.plan.arn,
                family=record.definition.family or "",
                version=record.definition.version or "",
                desired_status=reported(record.state.desired),
                known_status=reported(record.state.known),
                sent_status=record.state.sent.name,
                started_at=record.state.started_at,
            )
            for record in self._book
        )

    def records(self) -> tuple[TaskRecord, ...]:
        """Every task with its definition and state, for the introspection endpoint."""
        return tuple(self._book)

    async def healthy(self) -> bool:
        """Whether the Docker engine answers within five seconds."""
        try:
            await self._docker.ping()
        except EngineError as error:
            log.warning("docker_unhealthy", reason=error.reason)
            return False
        return True

    def set_credentials(self, message: acs.IAMRoleCredentialsMessage) -> bool:
        """Keep the credentials of a task's role, in memory only. False if the task is not known."""
        record = self._book.get(message.task_arn or "")
        if record is None or message.role_credentials is None or record.state.known is Status.STOPPED:
            return False
        self._keep_credentials(record.plan.arn, message.role_type or "", message.role_credentials)
        return True

    def task_health(self) -> tuple[tcs.TaskHealth, ...]:
        """The health of every running container that has a health check."""
        found = []
        for record in self._book:
            pairs = zip(record.plan.containers, record.state.containers, strict=True)
            containers = tuple(
                tcs.ContainerHealth(
                    container_name=plan.name,
                    health_status=state.health,
                    status_since=state.health_since or state.started_at,
                )
                for plan, state in pairs
                if plan.health_checked and state.known is Status.RUNNING
            )
            if containers:
                found.append(
                    tcs.TaskHealth(
                        task_arn=record.plan.arn,
                        cluster_arn=record.definition.task_cluster_arn,
                        task_definition_family=record.definition.family,
                        task_definition_version=record.definition.version,
                        containers=containers,
                    )
                )
        return tuple(found)

    async def wait_for_health_change(self) -> None:
        """Return when the health of some container has changed since the last return."""
        await self._book.health_news.wait()
        self._book.health_news.clear()

    def task_metrics(self, window_s: float) -> tuple[tcs.TaskMetric, ...]:
        """Use of CPU, memory and network by the running tasks over the last ``window_s`` seconds."""
        since = self._clock.monotonic() - window_s
        found = []
        for record in self._book:
            containers = self._usage.metrics(record.plan.arn, since)
            if containers:
                found.append(
                    tcs.TaskMetric(
                        task_arn=record.plan.arn,
                        cluster_arn=record.definition.task_cluster_arn,
                        task_definition_family=record.definition.family,
                        task_definition_version=record.definition.version,
                        container_metrics=containers,
                    )
                )
        return tuple(found)

    def container_usage(self) -> tuple[tuple[Running, Sample], ...]:
        """The newest sample of every running container."""
        return self._usage.latest()

    # --- desired state --------------------------------------------------------------------------------------

    def _take(self, task: acs.Task) -> "tuple[RejectedTask | None, asyncio.Future[None] | None]":
        arn, now = task.arn or "", self._clock.now()
        stop = task.desired_status == "STOPPED"
        known = self._book.get(arn)
        if known is not None:
            self._keep_payload_credentials(task)
            return None, self._book.apply(known, StopRequested(at=now)) if stop else self._book.write(known)
        if self._janitor.has_ended(arn):
            return None, self._add_ended(task, _ENDED_HERE)
        try:
            plan = plan_task(task, self._config.container_stop_timeout_s, self._token)
            wanted = demand(task)
        except InvalidTaskError as error:
            reason = f"UnrecogniedTaskError: Error loading task - {error}"
            log.warning("task_rejected", task=arn, reason=reason)
            return RejectedTask(arn, reason), self._add_ended(task, reason) if arn else None
        record = TaskRecord(stripped(task), plan, initial_state(plan))
        self._book.add(record)
        self._keep_payload_credentials(task)
        impossible = self._ledger.impossible(wanted)
        reason = refusal(task) or (f"ResourceInitializationError: {impossible}" if impossible else "")
        if stop or reason:
            return None, self._book.apply(record, StopRequested(at=now, reason=reason))
        self._ledger.ask(arn, wanted)
        return None, self._book.write(record)

    def _add_ended(self, task: acs.Task, reason: str) -> "asyncio.Future[None]":
        """Know a task only to report that it is stopped."""
        plan = TaskPlan(arn=task.arn or "", containers=())
        record = TaskRecord(stripped(task), plan, initial_state(plan))
        self._book.add(record)
        return self._book.apply(record, StopRequested(at=self._clock.now(), reason=reason))

    def _keep_payload_credentials(self, task: acs.Task) -> None:
        pairs = (
            ("TaskApplication", task.role_credentials),
            ("TaskExecution", task.execution_role_credentials),
        )
        for role_type, credentials in pairs:
            if credentials is not None:
                self._keep_credentials(task.arn or "", role_type, credentials)

    def _keep_credentials(self, arn: str, role_type: str, credentials: acs.IAMRoleCredentials) -> None:
        self._credentials.setdefault(arn, {})[role_type] = credentials

    def _apply(self, record: TaskRecord, event: Event) -> None:
        self._book.apply(record, event)

    def _admit(self) -> None:
        """Let in whatever fits now, and tell the others what they wait for."""
        for arn in self._ledger.admit():
            record = self._book.get(arn)
            if record is not None:
                self._apply(record, Admitted(at=self._clock.now()))
        for delay in self._ledger.delays():
            record = self._book.get(delay.task_arn)
            if record is not None and record.state.waits_for != delay.reason:
                self._apply(record, AdmissionDelayed(at=self._clock.now(), reason=delay.reason))

    def _task_ended(self, record: TaskRecord) -> None:
        self._credentials.pop(record.plan.arn, None)
        self._janitor.mind(record)
        self._runner.spawn(self._release(record), f"release {record.plan.arn}")

    async def _release(self, record: TaskRecord) -> None:
        """Give back a stopped task's share of the host, once the engine has really let go of it."""
        await self._runner.until_gone(record)
        self._ledger.release(record.plan.arn)
        self._admit()

    async def _on_disk(self, written: "set[asyncio.Future[None]]") -> None:
        if written:
            await asyncio.wait(written)
        for future in written:
            future.result()

    def _running(self) -> tuple[Running, ...]:
        return tuple(
            Running(
                docker_id=state.docker_id,
                task_arn=record.plan.arn,
                name=plan.name,
                own_network=not uses_host_network(record.definition, record.container(plan.name)),
            )
            for record in self._book
            for plan, state in zip(record.plan.containers, record.state.containers, strict=True)
            if state.known is Status.RUNNING and state.docker_id is not None
        )

    async def _keep_house(self) -> None:
        period = min(_HOUSEKEEPING_S, max(1.0, self._config.task_cleanup_wait_s / 2))
        next_comparison = self._clock.monotonic() + _COMPARE_S
        while True:
            await asyncio.sleep(period)
            await self._janitor.clean_up()
            if self._clock.monotonic() >= next_comparison:
                await self._observer.compare()
                next_comparison = self._clock.monotonic() + _COMPARE_S


def _time_limits(config: AgentConfig) -> TimeLimits:
    return TimeLimits(
        create=config.container_create_timeout_s,
        start=config.container_start_timeout_s,
        pull=config.image_pull_timeout_s,
        pull_silence=config.image_pull_inactivity_timeout_s,
    )
