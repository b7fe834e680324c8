"""Task sets, which services with the deployment controller EXTERNAL have in place of deployments
(ecs-semantics 7.16)."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, TaskSetNotFoundException
from controller.api.identifiers import missing, resolve_cluster, resolve_task_definition, task_set_id
from controller.api.operations.launch_rules import (
    capacity_of,
    check_launch_type,
    check_network,
    placement_of,
)
from controller.api.operations.services.finding import active_service
from controller.api.operations.services.refusals import refuse_unsupported
from controller.api.operations.services.settings import check_client_token
from controller.api.operations.tasks.tokens import fingerprint
from controller.api.render.task_set import render_task_set, task_sets_of
from controller.api.tags import parse_tags
from controller.services.task_sets import draining, is_external
from controller.state.entities import Document, Service, TaskSet, task_set_key
from controller.state.kernel import Reader

MAX_TASK_SETS = 5
LARGEST_SCALE = 100.0

_SETTINGS = ("networkConfiguration", "platformVersion")
"""Members that a task set's tasks take over as they are."""


def create_task_set(context: RequestContext, request: Document) -> Document:
    """Create a task set. Repeating a call with its client token answers the task set as it is."""
    service = _external_service(context, request)
    check_client_token(request)
    refuse_unsupported(request)
    task_set = _new_task_set(context, service, request)
    earlier = _earlier(context.read, service, task_set)
    if earlier is not None:
        return {"taskSet": render_task_set(earlier, service, context.read, with_tags=True)}
    present = len(task_sets_of(service, context.read))
    if present >= MAX_TASK_SETS:
        raise InvalidParameterException(
            f"{present} deployments exist on the service. Unable to create new TaskSet since this exceeds "
            "the maximum limit."
        )
    with context.transaction() as transaction:
        transaction.put(task_set, f"created for {task_set.family}:{task_set.revision}")
    return {"taskSet": render_task_set(task_set, service, context.read, with_tags=True)}


def describe_task_sets(context: RequestContext, request: Document) -> Document:
    """The task sets of a service that are named, each once, or else all; a failure for each that is not
    there."""
    service = active_service(context, request)
    with_tags = "TAGS" in request.get("include", ())
    found, failures = task_sets_of(service, context.read), []
    if request.get("taskSets"):
        by_id = {task_set.id: task_set for task_set in found}
        ids = dict.fromkeys(task_set_id(context, service, value) for value in request["taskSets"])
        found = [by_id[id_] for id_ in ids if id_ in by_id]
        failures = [
            missing(context.read.names.task_set(service.cluster, service.name, id_))
            for id_ in ids
            if id_ not in by_id
        ]
    shown = [render_task_set(item, service, context.read, with_tags=with_tags) for item in found]
    return {"taskSets": shown, "failures": failures}


def update_task_set(context: RequestContext, request: Document) -> Document:
    """Give a task set another share of the service's desired count."""
    service = _external_service(context, request)
    task_set = _named(context, service, request["taskSet"])
    scale = _scale_of(request)
    _check_not_draining(task_set)
    if scale != task_set.scale:
        with context.transaction() as transaction:
            task_set = replace(task_set, scale=scale, updated_at=transaction.now)
            transaction.put(task_set, f"scale changed to {scale:g} %")
    return {"taskSet": render_task_set(task_set, service, context.read, with_tags=True)}


def update_service_primary_task_set(context: RequestContext, request: Document) -> Document:
    """Make a task set the PRIMARY one, whose settings the service shows as its own.

    The one before becomes ACTIVE.
    """
    service = _external_service(context, request)
    task_set = _named(context, service, request["primaryTaskSet"])
    _check_not_draining(task_set)
    if task_set.status != "PRIMARY":
        with context.transaction() as transaction:
            for former in task_sets_of(service, transaction):
                if former.status == "PRIMARY":
                    changed = replace(former, status="ACTIVE", updated_at=transaction.now)
                    transaction.put(changed, f"{task_set.id} is the primary task set now")
            task_set = replace(task_set, status="PRIMARY", updated_at=transaction.now)
            transaction.put(task_set, "made the primary task set")
    return {"taskSet": render_task_set(task_set, service, context.read, with_tags=True)}


def delete_task_set(context: RequestContext, request: Document) -> Document:
    """Have a task set drain; it is gone once its last task has ended.

    The PRIMARY one, and one that is not scaled to zero, only by force.
    """
    service = _external_service(context, request)
    task_set = _named(context, service, request["taskSet"])
    if task_set.status != "DRAINING":
        if not request.get("force"):
            _check_deletable(task_set)
        with context.transaction() as transaction:
            task_set = draining(task_set, transaction.now)
            transaction.put(task_set, "deleted by force" if request.get("force") else "deleted")
    return {"taskSet": render_task_set(task_set, service, context.read, with_tags=True)}


def _external_service(context: RequestContext, request: Document) -> Service:
    service = active_service(context, request)
    if not is_external(service):
        raise InvalidParameterException(
            "Amazon ECS only supports task set management on services configured to use external deployment "
            "controllers."
        )
    return service


def _named(context: RequestContext, service: Service, value: str) -> TaskSet:
    if not value:
        raise InvalidParameterException("Task Set can not be blank.")
    key = task_set_key(service.cluster, service.name, task_set_id(context, service, value))
    task_set = context.read.get(TaskSet, key)
    if task_set is None:
        raise TaskSetNotFoundException
    return task_set


def _new_task_set(context: RequestContext, service: Service, request: Document) -> TaskSet:
    cluster = resolve_cluster(context, request["cluster"])
    capacity = capacity_of(context.read, request, cluster)
    definition = resolve_task_definition(context, request["taskDefinition"])
    rules = {**service.options, **request}
    check_launch_type(definition, capacity.launch_type, rules)
    check_network(definition, request.get("networkConfiguration"))
    placement_of(definition, rules)
    settings: Document = {"launchType": capacity.launch_type}
    settings |= {member: request[member] for member in _SETTINGS if member in request}
    if capacity.strategy:
        settings["capacityProviderStrategy"] = list(capacity.strategy)
    now = context.clock.now()
    return TaskSet(
        cluster=service.cluster,
        service=service.name,
        id=context.ids.deployment_id(),
        family=definition.family,
        revision=definition.revision,
        external_id=request.get("externalId", ""),
        scale=_scale_of(request),
        settings=settings,
        client_token=request.get("clientToken", ""),
        fingerprint=fingerprint(request),
        stability_status_at=now,
        created_at=now,
        updated_at=now,
        tags=parse_tags(request.get("tags")),
    )


def _earlier(read: Reader, service: Service, asked: TaskSet) -> TaskSet | None:
    """The task set that a call with the same client token made.

    Raises:
        InvalidParameterException: that call asked for something else.
    """
    if not asked.client_token:
        return None
    present = task_sets_of(service, read)
    earlier = next((item for item in present if item.client_token == asked.client_token), None)
    if earlier is not None and earlier.fingerprint != asked.fingerprint:
        raise InvalidParameterException("Creation of task set was not idempotent.")
    return earlier


def _scale_of(request: Document) -> float:
    """Percent of the service's desired count; 0 where nothing is said, as ECS has it."""
    scale = float(request.get("scale", {}).get("value", 0.0))
    if not 0.0 <= scale <= LARGEST_SCALE:
        raise InvalidParameterException("The scale of a task set should be between 0 and 100 percent.")
    return scale


def _check_not_draining(task_set: TaskSet) -> None:
    if task_set.status == "DRAINING":
        raise InvalidParameterException(f"The task set {task_set.id} is DRAINING and can not be changed.")


def _check_deletable(task_set: TaskSet) -> None:
    if task_set.status == "PRIMARY":
        raise InvalidParameterException(
            "The primary task set cannot be deleted. Make another task set the primary one, or use force."
        )
    if task_set.scale > 0:
        raise InvalidParameterException(
            "The task set cannot be deleted while it is scaled above 0. Scale it to 0, or use force."
        )
