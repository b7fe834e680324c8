"""What the step of a service sees: plain data, read from the state at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from controller.scheduler.daemons import matching_instances
from controller.scheduler.strategies import ZONE_ATTRIBUTE, parse_strategies
from controller.services.ages import Ages
from controller.services.backoff import launch_delay
from controller.services.breaker_rules import UNPLACED_S, follows_ecs, watches
from controller.services.revisions import status_of
from controller.state.entities import (
    ContainerInstance,
    Deployment,
    Service,
    Task,
    TaskDefinition,
    TaskOwner,
    TaskSet,
    instance_key,
    task_definition_key,
)
from controller.state.image_pins import owner_of, runs_another_image
from controller.state.indexes import (
    DAEMON_SERVICES,
    DEPLOYMENTS_OF_SERVICE,
    LIVE_TASKS_OF_SERVICE,
    TASK_SETS_OF_SERVICE,
    TASKS_ON_INSTANCE,
    UNCOUNTED_EXITS,
    UNCOUNTED_FAILED_STARTS,
)
from controller.state.lifecycle import health_status, holds_resources, is_running

if TYPE_CHECKING:
    from controller.state.kernel import Reader


REPLACED_UNHEALTHY = "Task failed container health checks"
"""stoppedReason of a task whose health check has failed for good."""


class TaskView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A task of the service that is not STOPPED and not given up on."""

    id: str
    deployment: str
    """Id of the deployment or task set that started it."""
    launch_round: int = 0
    instance: str = ""
    provider: str = ""
    """The capacity provider that it was started for; empty without a strategy."""
    zone: str = ""
    """The instance's value of the attribute that the service is spread over."""
    created_at: float = 0.0
    has_run: bool = True
    """Whether it ever reached RUNNING."""
    healthy: bool = True
    """Whether it counts towards minimumHealthyPercent."""
    unhealthy: bool = False
    """Whether its health check has failed for good: it is to be replaced."""
    displaced: bool = False
    """Whether its instance is on its way out: the task is to be replaced."""
    outdated: bool = False
    """Whether it runs another image than its deployment has settled on: it is to be replaced."""
    was_healthy: bool = False
    """Whether the circuit breaker has seen it healthy."""
    protected: bool = False
    """Whether neither scaling in nor deployments nor draining may stop it while it is not unhealthy."""
    stopping: bool = False
    """Whether its stop is decided: it counts no more."""

    @property
    def to_be_replaced(self) -> bool:
        """Whether another task is to stand in for it."""
        return self.displaced or self.unhealthy or self.outdated


class FailedStart(msgspec.Struct, frozen=True, gc=False):
    """A task that ended before it ran and has not been counted."""

    task_id: str
    deployment: str
    launch_round: int
    reason: str = ""
    """stoppedReason."""


class Exit(msgspec.Struct, frozen=True, gc=False):
    """A task that ended by itself after it ran and that the circuit breaker has not counted."""

    task_id: str
    deployment: str
    reason: str
    """stoppedReason."""


class Daemon(msgspec.Struct, frozen=True):
    """Where a daemon service's tasks are, and are to be."""

    instances: tuple[str, ...]
    """Ids of the instances that are to have a task each."""
    needed: frozenset[str] = frozenset()
    """Ids of instances on their way out with tasks that are no daemon service's: its task leaves last."""
    occupied: frozenset[str] = frozenset()
    """Ids of instances where a task of the service has not ended, a stopping one too."""


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """A service at one moment."""

    service: Service
    primary: Deployment | None
    older: tuple[Deployment, ...] = ()
    """Deployments that the PRIMARY one replaces, and forgotten ones of an earlier service of this name."""
    task_sets: tuple[TaskSet, ...] = ()
    """Those of a service with the deployment controller EXTERNAL, the PRIMARY one first, then the oldest."""
    tasks: tuple[TaskView, ...] = ()
    daemon: Daemon | None = None
    """Only of a service with the scheduling strategy DAEMON."""
    failed_starts: tuple[FailedStart, ...] = ()
    exits: tuple[Exit, ...] = ()
    """Read only if a circuit breaker counts them."""
    launch_hold_s: float = 0.0
    """Seconds for which the PRIMARY deployment's launch back-off still holds."""
    task_set_holds_s: Mapping[str, float] = {}
    """The same for each task set, by its id."""
    unplaced_left_s: float = 0.0
    """Seconds until the tasks that have found no place for some time count as failures."""
    bake_time_s: float = 0.0
    """The service's bakeTimeInMinutes, in seconds."""
    bake_left_s: float = 0.0
    """Seconds that are left of it; 0 before it has begun, too."""
    changes_in_s: float | None = None
    """Seconds until a task becomes healthy, or unhealthy, by the mere passing of time."""
    announced: frozenset[str] = frozenset()
    """Causes of events that were announced lately and are not to be repeated."""
    repeats_steady: bool = False
    """Whether the steady state was announced so long ago that it is announced again while it lasts."""
    now: float = 0.0
    """Wall time, for the records that the step writes."""

    @property
    def failures(self) -> tuple[FailedStart | Exit, ...]:
        """Ended tasks that have not been counted."""
        return (*self.failed_starts, *self.exits)


class _Moment:
    """What one view needs to judge its tasks, and when that judgement changes by itself."""

    def __init__(self, read: Reader, service: Service, ages: Ages, healthy_after_s: float) -> None:
        self.read = read
        self.service = service
        self.ages = ages
        self.healthy_after_s = healthy_after_s
        self.changes_in_s: float | None = None
        self._checked: dict[str, tuple[str, ...]] = {}
        self._instances: dict[str | None, tuple[bool, str]] = {}
        self._owners: dict[str | None, TaskOwner | None] = {}
        self._attribute = spread_attribute(service.options)

    def older_than(self, subject: str, since: float, seconds: float) -> bool:
        """Whether something happened so long ago; if not, note when it will have."""
        remaining = self.ages.remaining(subject, since, seconds)
        if not remaining:
            return True
        self.changes_in_s = min(remaining, self.changes_in_s or remaining)
        return False

    def checked_containers(self, task: Task) -> tuple[str, ...]:
        """Names of the essential containers of a task that have a health check."""
        key = task_definition_key(task.family, task.revision)
        if key not in self._checked:
            definition = self.read.get(TaskDefinition, key)
            self._checked[key] = checked_containers(definition) if definition else ()
        return self._checked[key]

    def is_outdated(self, task: Task) -> bool:
        """Whether a task runs another image than its deployment or task set has settled on."""
        if task.deployment not in self._owners:
            self._owners[task.deployment] = owner_of(self.read, task)
        owner = self._owners[task.deployment]
        return owner is not None and runs_another_image(owner, task)

    def place_of(self, task: Task) -> tuple[bool, str]:
        """Whether a task's instance is on its way out, and its zone."""
        if task.instance not in self._instances:
            self._instances[task.instance] = self._look_at(task)
        return self._instances[task.instance]

    def _look_at(self, task: Task) -> tuple[bool, str]:
        if task.instance is None:
            return False, ""
        instance = self.read.get(ContainerInstance, instance_key(task.cluster, task.instance))
        if instance is None:
            return True, ""
        zone = next((item.value or "" for item in instance.attributes if item.name == self._attribute), "")
        return instance.status != "ACTIVE", zone


def view_of(
    read: Reader,
    service: Service,
    *,
    ages: Ages,
    healthy_after_s: float,
    announced: frozenset[str],
    repeats_steady: bool,
    now: float,
) -> ServiceView:
    """The view of a service. `healthy_after_s` is how long a task without a health check must be RUNNING."""
    moment = _Moment(read, service, ages, healthy_after_s)
    tasks = tuple(
        _task_view(moment, task)
        for task in read.select(LIVE_TASKS_OF_SERVICE, service.key).values()
        if task.disposition != "UNKNOWN"
    )
    deployments = sorted(
        read.select(DEPLOYMENTS_OF_SERVICE, service.key).values(),
        key=lambda deployment: deployment.created_at,
    )
    primary = next((deployment for deployment in deployments if deployment.status == "PRIMARY"), None)
    hold_s = _launch_hold(primary, ages) if primary else 0.0
    unplaced_left_s = _unplaced_left(primary, ages) if primary else 0.0
    bake_s = bake_time(service)
    bake_left_s = _bake_left(primary, bake_s, ages) if primary else 0.0
    task_sets = sorted(
        read.select(TASK_SETS_OF_SERVICE, service.key).values(),
        key=lambda task_set: (task_set.status != "PRIMARY", task_set.created_at, task_set.id),
    )
    task_set_holds_s = {task_set.id: _launch_hold(task_set, ages) for task_set in task_sets}
    daemon = _daemon(read, service, primary, tasks) if primary is not None else None
    if daemon is not None and service.status == "ACTIVE":
        service = replace(service, desired_count=len(daemon.instances))
    ages.forget_unasked()
    return ServiceView(
        service=service,
        primary=primary,
        older=tuple(deployment for deployment in deployments if deployment is not primary),
        task_sets=tuple(task_sets),
        tasks=tasks,
        failed_starts=tuple(
            FailedStart(task.id, task.deployment or "", task.launch_round, task.stopped_reason)
            for task in read.select(UNCOUNTED_FAILED_STARTS, service.key).values()
        ),
        daemon=daemon,
        exits=_exits(read, service, primary),
        launch_hold_s=hold_s,
        task_set_holds_s=task_set_holds_s,
        unplaced_left_s=unplaced_left_s,
        bake_time_s=bake_s,
        bake_left_s=bake_left_s,
        changes_in_s=moment.changes_in_s,
        announced=announced,
        repeats_steady=repeats_steady,
        now=now,
    )


def _daemon(
    read: Reader, service: Service, primary: Deployment, tasks: tuple[TaskView, ...]
) -> Daemon | None:
    definition = read.get(TaskDefinition, task_definition_key(primary.family, primary.revision))
    if service.scheduling_strategy != "DAEMON" or definition is None:
        return None
    occupied = frozenset(task.instance for task in tasks)
    if service.status != "ACTIVE":
        return Daemon(instances=(), occupied=occupied)
    leaving = {task.instance for task in tasks if task.displaced}
    return Daemon(
        instances=tuple(matching_instances(read, service, definition)),
        needed=frozenset(item for item in leaving if _has_other_tasks(read, service.cluster, item)),
        occupied=occupied,
    )


def _has_other_tasks(read: Reader, cluster: str, instance: str) -> bool:
    daemons = {service.name for service in read.select(DAEMON_SERVICES, cluster).values()}
    tasks = read.select(TASKS_ON_INSTANCE, instance_key(cluster, instance)).values()
    return any(task.service not in daemons for task in tasks if holds_resources(task))


def bake_time(service: Service) -> float:
    """A service's bakeTimeInMinutes, in seconds."""
    minutes: int = service.options.get("deploymentConfiguration", {}).get("bakeTimeInMinutes", 0)
    return minutes * 60.0


def spread_attribute(options: Mapping[str, object]) -> str:
    """The attribute that a service's tasks are spread over: the first that its strategies name, else the
    zone."""
    strategies = options.get("placementStrategy")
    chain = parse_strategies(strategies) if isinstance(strategies, (list, tuple)) else ()
    return next((item.field for item in chain if item.type == "spread" and item.field), ZONE_ATTRIBUTE)


def checked_containers(definition: TaskDefinition) -> tuple[str, ...]:
    """Names of a definition's essential containers that have a health check (`NONE` switches an image's
    off)."""
    return tuple(
        container["name"]
        for container in definition.document["containerDefinitions"]
        if container.get("essential", True)
        and (container.get("healthCheck") or {}).get("command", ["NONE"])[0] != "NONE"
    )


def _task_view(moment: _Moment, task: Task) -> TaskView:
    displaced, zone = moment.place_of(task)
    healthy, unhealthy = _health(moment, task)
    return TaskView(
        id=task.id,
        deployment=task.deployment or "",
        launch_round=task.launch_round,
        instance=task.instance or "",
        provider=task.options.get("capacityProviderName", ""),
        zone=zone,
        created_at=task.created_at,
        has_run=task.has_run,
        healthy=healthy,
        unhealthy=unhealthy,
        displaced=displaced,
        outdated=moment.is_outdated(task),
        was_healthy=task.was_healthy,
        protected=task.protected_until is not None and moment.service.status == "ACTIVE",
        stopping=task.desired_status == "STOPPED",
    )


def _health(moment: _Moment, task: Task) -> tuple[bool, bool]:
    """Whether a task is healthy, and whether it is unhealthy; both are False while nobody can tell yet."""
    if not is_running(task):
        return False, False
    started_at = task.started_at if task.started_at is not None else task.created_at
    checked = moment.checked_containers(task)
    if not checked:
        return moment.older_than(task.id, started_at, moment.healthy_after_s), False
    status = health_status(task, checked)
    grace_s = moment.service.health_check_grace_period_s
    return status == "HEALTHY", status == "UNHEALTHY" and moment.older_than(task.id, started_at, grace_s)


def _exits(read: Reader, service: Service, primary: Deployment | None) -> tuple[Exit, ...]:
    if primary is None or not watches(service, primary) or follows_ecs(service):
        return ()
    return tuple(
        Exit(task.id, task.deployment or "", task.stopped_reason)
        for task in read.select(UNCOUNTED_EXITS, service.key).values()
    )


def _unplaced_left(primary: Deployment, ages: Ages) -> float:
    since = primary.breaker.unplaced_since
    return ages.remaining(f"{primary.id} unplaced", since, UNPLACED_S) if since is not None else 0.0


def _bake_left(primary: Deployment, bake_time_s: float, ages: Ages) -> float:
    since = primary.baking_since
    if since is None or status_of(primary) != "IN_PROGRESS":
        return 0.0
    return ages.remaining(f"{primary.id} bake", since, bake_time_s)


def _launch_hold(owner: TaskOwner, ages: Ages) -> float:
    delay = launch_delay(owner)
    if not delay or owner.last_failed_at is None:
        return 0.0
    return ages.remaining(owner.id, owner.last_failed_at, delay)
