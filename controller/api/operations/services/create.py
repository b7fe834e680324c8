"""CreateService."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import resolve_cluster, resolve_task_definition
from controller.api.operations.launch_rules import (
    DEFAULT_LAUNCH_TYPE,
    Capacity,
    capacity_of,
    check_launch_type,
    check_network,
    placement_of,
)
from controller.api.operations.services.daemon import (
    DAEMON,
    DAEMON_MAXIMUM_PERCENT,
    DAEMON_MINIMUM_HEALTHY_PERCENT,
    check_daemon,
)
from controller.api.operations.services.external import check_external
from controller.api.operations.services.records import new_deployment
from controller.api.operations.services.refusals import refuse_unsupported
from controller.api.operations.services.settings import (
    DEFAULT_MAXIMUM_PERCENT,
    DEFAULT_MINIMUM_HEALTHY_PERCENT,
    check_client_token,
    check_rolling,
    check_service_name,
    desired_count_of,
    grace_period_of,
    options_of,
    percentages_of,
)
from controller.api.render.service import primary_deployment, render_service
from controller.api.tags import parse_tags
from controller.scheduler.daemons import matching_instances
from controller.services.task_sets import has_external_controller
from controller.state.entities import (
    Cluster,
    Document,
    Service,
    TaskDefinition,
    service_key,
)
from controller.state.history import retire_deployment
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE

_REPLICA_PERCENTAGES = (DEFAULT_MINIMUM_HEALTHY_PERCENT, DEFAULT_MAXIMUM_PERCENT)
_DAEMON_PERCENTAGES = (DAEMON_MINIMUM_HEALTHY_PERCENT, DAEMON_MAXIMUM_PERCENT)


def create_service(context: RequestContext, request: Document) -> Document:
    """Create a service with its first deployment, or with the controller EXTERNAL without any. Repeating the
    call answers the service as it is.

    The name of an INACTIVE service may be used again; the new service has nothing of the old one.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    check_service_name(request["serviceName"])
    check_client_token(request)
    refuse_unsupported(request)
    check_rolling(request, external=has_external_controller(request))
    is_daemon = request.get("schedulingStrategy") == DAEMON
    if is_daemon:
        check_daemon(request)
    if has_external_controller(request):
        check_external(request)
        capacity, definition = Capacity(DEFAULT_LAUNCH_TYPE), None
    else:
        capacity = (
            Capacity(request.get("launchType", DEFAULT_LAUNCH_TYPE))
            if is_daemon
            else capacity_of(context.read, request, cluster)
        )
        definition = _definition(context, request, capacity.launch_type)
    service = _new_service(context, cluster, request, capacity)
    if is_daemon and definition is not None:
        matching = matching_instances(context.read, service, definition)
        service = replace(service, desired_count=len(matching))
    existing = context.read.get(Service, service_key(cluster.name, service.name))
    if existing is not None and existing.status != "INACTIVE":
        _check_same(context, existing, service, definition)
        return {"service": render_service(existing, context.read, with_tags=True)}
    with context.transaction() as transaction:
        for old in list(transaction.select(DEPLOYMENTS_OF_SERVICE, service.key).values()):
            retire_deployment(transaction, old)
        transaction.put(service, f"created with desired count {service.desired_count}")
        if definition is not None:
            id_ = context.ids.deployment_id()
            deployment = new_deployment(service, definition, id_, service.created_at)
            transaction.put(deployment, f"started for {definition.key}: the service was created")
    return {"service": render_service(service, context.read, with_tags=True)}


def _definition(context: RequestContext, request: Document, launch_type: str) -> TaskDefinition:
    if "taskDefinition" not in request:
        raise InvalidParameterException("TaskDefinition can not be blank.")
    definition = resolve_task_definition(context, request["taskDefinition"])
    check_launch_type(definition, launch_type, request)
    check_network(definition, request.get("networkConfiguration"))
    placement_of(definition, request)
    return definition


def _new_service(context: RequestContext, cluster: Cluster, request: Document, capacity: Capacity) -> Service:
    is_daemon = request.get("schedulingStrategy") == DAEMON
    defaults = _DAEMON_PERCENTAGES if is_daemon else _REPLICA_PERCENTAGES
    minimum, maximum = percentages_of(request, *defaults)
    return Service(
        cluster=cluster.name,
        name=request["serviceName"],
        scheduling_strategy=request.get("schedulingStrategy", "REPLICA"),
        desired_count=0 if is_daemon else desired_count_of(request),
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        launch_type=capacity.launch_type,
        health_check_grace_period_s=grace_period_of(request, 0),
        propagate_tags=request.get("propagateTags", "NONE"),
        enable_ecs_managed_tags=request.get("enableECSManagedTags", False),
        options=options_of({**request, "capacityProviderStrategy": list(capacity.strategy)}, {}),
        client_token=request.get("clientToken", ""),
        created_at=context.clock.now(),
        created_by=context.caller.arn,
        tags=parse_tags(request.get("tags")),
    )


def _check_same(
    context: RequestContext, existing: Service, asked: Service, definition: TaskDefinition | None
) -> None:
    """Raise unless a repeated call asks for the service as it is."""
    if existing.status == "DRAINING":
        raise InvalidParameterException("Unable to Start a service that is still Draining.")
    same = replace(
        asked,
        created_at=existing.created_at,
        created_by=existing.created_by,
        client_token=existing.client_token,
    )
    primary = primary_deployment(existing, context.read)
    running = (primary.family, primary.revision) if primary is not None else None
    wanted = (definition.family, definition.revision) if definition is not None else None
    if same != existing or running != wanted:
        raise InvalidParameterException("Creation of service was not idempotent.")
