"""Carries a decision out: one transaction of puts and service events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec.structs import replace

from controller.scheduler.candidates import gpus_for
from controller.scheduler.demand import Demand
from controller.scheduler.tasks import new_task, placed
from controller.services import events
from controller.services.revisions import settings_of
from controller.services.step import Decision
from controller.services.view import ServiceView
from controller.state.entities import (
    ContainerInstance,
    Deployment,
    Document,
    Service,
    Tag,
    Task,
    TaskDefinition,
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
    for deployment in decision.deployments:
        transaction.put(deployment)
    for deployment in decision.removed:
        retire_deployment(transaction, deployment)
    if decision.service_status != service.status:
        ended = replace(service, status=decision.service_status, deleted_at=transaction.now)
        transaction.put(ended, "its last task has ended")
    for task_id in decision.counted:
        _count_failure(transaction, service, task_id)
    messages = []
    if decision.starts and launched is not None and view.primary is not None:
        primary = next((item for item in decision.deployments if item.id == view.primary.id), view.primary)
        started = [
            _start(transaction, service, primary, instance_id, launched, provider, ids)
            for instance_id, provider in zip(decision.starts, launched.providers, strict=True)
        ]
        messages.append(events.started(started, decision.replaces_unhealthy))
    for stop in decision.stops:
        task = transaction.get(Task, task_key(service.cluster, stop.task_id))
        if task is not None:
            transaction.put(
                decide_stop(task, "ServiceSchedulerInitiated", stop.reason, transaction.now), stop.reason
            )
    if running := [stop.task_id for stop in decision.stops if stop.was_running]:
        messages.append(events.stopped(running))
    messages += [announcement.text for announcement in decision.announcements]
    for message in messages:
        _record(transaction, service, message, ids)


def _start(
    transaction: Transaction,
    service: Service,
    deployment: Deployment,
    instance_id: str,
    launched: Launched,
    provider: str,
    ids: Ids,
) -> str:
    definition, demand = launched.definition, launched.demand
    settings = settings_of(deployment, service)
    task = new_task(
        definition,
        cluster=service.cluster,
        task_id=ids.hex32(),
        container_ids=[ids.uuid() for _ in definition.document["containerDefinitions"]],
        group=service_group(service),
        started_by=deployment.id,
        launch_type=settings["launchType"],
        service=service.name,
        deployment=deployment.id,
        overrides=None,
        options=_task_options(service, settings, provider),
        tags=_tags(service, definition),
        now=transaction.now,
        epoch=transaction.meta.epoch,
    )
    instance = transaction.get(ContainerInstance, instance_key(service.cluster, instance_id))
    gpu_ids = gpus_for(transaction, instance, demand) if instance else ()
    task = replace(placed(task, instance_id, demand, gpu_ids), launch_round=deployment.launch_round)
    transaction.put(task, f"placed on {instance_id} for service {service.name}, deployment {deployment.id}")
    return task.id


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


def _count_failure(transaction: Transaction, service: Service, task_id: str) -> None:
    task = transaction.get(Task, task_key(service.cluster, task_id))
    if task is not None:
        transaction.put(replace(task, failure_counted=True))


def _record(transaction: Transaction, service: Service, text: str, ids: Ids) -> None:
    event = events.ServiceEvent(ids.uuid(), transaction.now, events.about(service.name, text))
    transaction.record_event(
        events.service_object(service.key), events.EVENT_KIND, events.encode_event(event)
    )
