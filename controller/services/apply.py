"""Carries a decision out: one transaction of puts and service events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec.structs import replace

from controller.scheduler.candidates import gpus_for
from controller.scheduler.demand import Demand
from controller.scheduler.tasks import new_task, placed
from controller.services import events
from controller.services.log_mode import default_log_mode
from controller.services.revisions import settings_of
from controller.services.step import Announcement, Decision
from controller.services.view import ServiceView
from controller.state.entities import (
    ContainerInstance,
    Document,
    Service,
    Tag,
    Task,
    TaskDefinition,
    TaskOwner,
    TaskSet,
    instance_key,
    task_key,
)
from controller.state.history import retire_deployment
from controller.state.lifecycle import decide_stop

if TYPE_CHECKING:
    from controller.state.kernel import Transaction

_REVISION_TASK_OPTIONS = ("networkConfiguration", "platformVersion")
"""Members of a service revision that its tasks take over as they are."""


class Ids(Protocol):
    """Makes ids from injected randomness."""

    def hex32(self) -> str:
        """32 lower-case hexadecimal digits."""

    def uuid(self) -> str:
        """A UUID."""


class Launched(msgspec.Struct, frozen=True):
    """What a decision's starts start."""

    definition: TaskDefinition
    demand: Demand
    providers: tuple[str, ...]
    """The capacity provider of each start; empty names without a strategy."""


def service_group(service: Service) -> str:
    """The group of a service's tasks."""
    return f"service:{service.name}"


def apply(
    transaction: Transaction,
    view: ServiceView,
    decision: Decision,
    launched: Launched | None,
    ids: Ids,
) -> None:
    """Put what a decision says. `launched` is what its starts start: needed if there are any."""
    service = view.service
    _put_records(transaction, view, decision)
    for task_id in decision.counted:
        _mark(transaction, service, task_id, failure_counted=True)
    for task_id in decision.seen_healthy:
        _mark(transaction, service, task_id, was_healthy=True)
    announcements = []
    owner = _starter(view, decision)
    if decision.starts and launched is not None and owner is not None:
        started = [
            _start(transaction, service, owner, instance_id, launched, provider, ids)
            for instance_id, provider in zip(decision.starts, launched.providers, strict=True)
        ]
        text = events.started(started, decision.replaces_unhealthy)
        announcements.append(Announcement(text, task_set=decision.starter))
    for stop in decision.stops:
        task = transaction.get(Task, task_key(service.cluster, stop.task_id))
        if task is not None:
            transaction.put(
                decide_stop(task, "ServiceSchedulerInitiated", stop.reason, transaction.now), stop.reason
            )
    for task_set_id in dict.fromkeys(stop.task_set for stop in decision.stops):
        own = (stop for stop in decision.stops if stop.task_set == task_set_id and stop.was_running)
        if running := [stop.task_id for stop in own]:
            announcements.append(Announcement(events.stopped(running), task_set=task_set_id))
    for announcement in (*announcements, *decision.announcements):
        _record(transaction, service, announcement, ids)


def _put_records(transaction: Transaction, view: ServiceView, decision: Decision) -> None:
    """Put the service, its deployments and its task sets as they are now."""
    service = view.service
    for deployment in decision.deployments:
        transaction.put(deployment)
    for deployment in decision.removed:
        retire_deployment(transaction, deployment)
    if decision.service_status != service.status:
        ended = replace(service, status=decision.service_status, deleted_at=transaction.now)
        transaction.put(ended, "its last task has ended")
    if view.daemon is not None and service.status == "ACTIVE":
        stored = transaction.get(Service, service.key)
        if stored is not None and stored.desired_count != service.desired_count:
            transaction.put(service, f"{service.desired_count} container instances match")
    if decision.restored is not None:
        transaction.put(decision.restored, "settings of the deployment restored that it goes back to")
    for task_set in decision.task_sets:
        transaction.put(task_set)
    for task_set in decision.removed_task_sets:
        transaction.delete(TaskSet, task_set.key, "its last task has ended")


def _starter(view: ServiceView, decision: Decision) -> TaskOwner | None:
    """Whose tasks are started, as the decision leaves it."""
    if decision.starter:
        owners: tuple[TaskOwner, ...] = (*decision.task_sets, *view.task_sets)
        return next(item for item in owners if item.id == decision.starter)
    if view.primary is None:
        return None
    return next((item for item in decision.deployments if item.id == view.primary.id), view.primary)


def _start(
    transaction: Transaction,
    service: Service,
    owner: TaskOwner,
    instance_id: str,
    launched: Launched,
    provider: str,
    ids: Ids,
) -> str:
    definition, demand = launched.definition, launched.demand
    settings = settings_of(owner, service)
    task = new_task(
        definition,
        cluster=service.cluster,
        task_id=ids.hex32(),
        container_ids=[ids.uuid() for _ in definition.document["containerDefinitions"]],
        group=service_group(service),
        started_by=owner.id,
        launch_type=settings["launchType"],
        service=service.name,
        deployment=owner.id,
        overrides=None,
        options=_task_options(service, settings, provider),
        log_mode=default_log_mode(transaction, service.created_by),
        tags=_tags(service, definition),
        now=transaction.now,
        epoch=transaction.meta.epoch,
    )
    instance = transaction.get(ContainerInstance, instance_key(service.cluster, instance_id))
    gpu_ids = gpus_for(transaction, instance, demand) if instance else ()
    task = replace(placed(task, instance_id, demand, gpu_ids), launch_round=owner.launch_round)
    transaction.put(task, f"placed on {instance_id} for service {service.name}, {_kind(owner)} {owner.id}")
    return task.id


def _kind(owner: TaskOwner) -> str:
    return "task set" if isinstance(owner, TaskSet) else "deployment"


def _task_options(service: Service, settings: Document, provider: str) -> Document:
    options = {name: settings[name] for name in _REVISION_TASK_OPTIONS if name in settings}
    if service.options.get("enableExecuteCommand"):
        options["enableExecuteCommand"] = True
    if provider:
        options["capacityProviderName"] = provider
    return options


def _tags(service: Service, definition: TaskDefinition) -> tuple[Tag, ...]:
    propagated = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(service.propagate_tags, ())
    if not service.enable_ecs_managed_tags:
        return propagated
    return (
        *propagated,
        Tag("aws:ecs:clusterName", service.cluster),
        Tag("aws:ecs:serviceName", service.name),
    )


def _mark(transaction: Transaction, service: Service, task_id: str, **marks: bool) -> None:
    task = transaction.get(Task, task_key(service.cluster, task_id))
    if task is not None:
        transaction.put(replace(task, **marks))


def _record(transaction: Transaction, service: Service, announcement: Announcement, ids: Ids) -> None:
    message = events.about(service.name, announcement.text, announcement.task_set)
    event = events.ServiceEvent(ids.uuid(), transaction.now, message)
    transaction.record_event(
        events.service_object(service.key), events.EVENT_KIND, events.encode_event(event)
    )
