"""UpdateService: what starts a deployment, and what only holds for tasks launched from now on."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ServerException
from controller.api.identifiers import resolve_cluster, resolve_task_definition
from controller.api.operations.launch_rules import (
    check_launch_type,
    check_network,
    placement_of,
    strategy_of,
)
from controller.api.operations.services.daemon import DAEMON, check_daemon
from controller.api.operations.services.external import check_controller, check_external_update
from controller.api.operations.services.finding import active_service
from controller.api.operations.services.records import new_deployment, put_next
from controller.api.operations.services.refusals import refuse_unsupported
from controller.api.operations.services.settings import (
    check_rolling,
    grace_period_of,
    options_of,
    percentages_of,
)
from controller.api.render.service import primary_deployment, render_service
from controller.scheduler.capacity import launch_type_of_strategy
from controller.services.revisions import revision_settings, settings_of
from controller.services.task_sets import is_external
from controller.state.entities import (
    Deployment,
    Document,
    Service,
    TaskDefinition,
    task_definition_key,
)

STARTS_DEPLOYMENT = ("networkConfiguration", "platformVersion")
"""Kept members of which another value starts a deployment; a task definition and force do too."""


def update_service(context: RequestContext, request: Document) -> Document:
    """Change a service. The former PRIMARY deployment stays ACTIVE until its last task has gone."""
    service = active_service(context, request)
    refuse_unsupported(request)
    check_controller(service, request)
    check_rolling(request, external=is_external(service))
    if service.scheduling_strategy == DAEMON:
        refuse_unsupported({**request, "schedulingStrategy": DAEMON})
        check_daemon(request)
    if is_external(service):
        return _update_external(context, service, request)
    if "capacityProviderStrategy" in request:
        cluster = resolve_cluster(context, request.get("cluster"))
        strategy = list(strategy_of(context.read, request, cluster))
        request = {**request, "capacityProviderStrategy": strategy}
    primary = primary_deployment(service, context.read)
    if primary is None:
        raise ServerException(f"Service {service.key} has no deployment.")
    definition = _definition(context, request, primary)
    updated = _updated(service, request)
    _check_launch(definition, updated)
    reason = _reason_to_deploy(service, updated, primary, definition, request)
    with context.transaction() as transaction:
        if updated != service:
            transaction.put(updated, _describe(service, updated))
        if reason is None and revision_settings(updated) != settings_of(primary, service):
            changed = replace(primary, settings=revision_settings(updated), updated_at=transaction.now)
            transaction.put(changed, "its further tasks have other settings")
        if reason is not None:
            id_ = context.ids.deployment_id()
            deployment = new_deployment(updated, definition, id_, transaction.now)
            put_next(transaction, deployment, f"started for {definition.key}: {reason}")
    return {"service": render_service(updated, context.read, with_tags=True)}


def _update_external(context: RequestContext, service: Service, request: Document) -> Document:
    """Change what of a service is not fixed by its task sets."""
    check_external_update(request)
    updated = _updated(service, request)
    placement_of(None, updated.options)
    if updated != service:
        with context.transaction() as transaction:
            transaction.put(updated, _describe(service, updated))
    return {"service": render_service(updated, context.read, with_tags=True)}


def _definition(context: RequestContext, request: Document, primary: Deployment) -> TaskDefinition:
    """The definition asked for, else the present one, which may have become INACTIVE meanwhile."""
    if "taskDefinition" in request:
        return resolve_task_definition(context, request["taskDefinition"])
    return resolve_task_definition(
        context, task_definition_key(primary.family, primary.revision), for_launch=False
    )


def _updated(service: Service, request: Document) -> Service:
    minimum, maximum = percentages_of(request, service.minimum_healthy_percent, service.maximum_percent)
    desired = request.get("desiredCount", service.desired_count)
    if desired < 0:
        raise InvalidParameterException("The desired count cannot be negative.")
    strategy = request.get("capacityProviderStrategy")
    return replace(
        service,
        desired_count=desired,
        launch_type=launch_type_of_strategy(strategy) if strategy else service.launch_type,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        health_check_grace_period_s=grace_period_of(request, service.health_check_grace_period_s),
        propagate_tags=request.get("propagateTags", service.propagate_tags),
        enable_ecs_managed_tags=request.get("enableECSManagedTags", service.enable_ecs_managed_tags),
        options=options_of(request, service.options),
    )


def _check_launch(definition: TaskDefinition, service: Service) -> None:
    check_launch_type(definition, service.launch_type, service.options)
    check_network(definition, service.options.get("networkConfiguration"))
    placement_of(definition, service.options)


def _reason_to_deploy(
    service: Service, updated: Service, primary: Deployment, definition: TaskDefinition, request: Document
) -> str | None:
    """Why a deployment is to be started; None when nothing asks for one."""
    if (definition.family, definition.revision) != (primary.family, primary.revision):
        return "the task definition changed"
    for member in STARTS_DEPLOYMENT:
        if service.options.get(member) != updated.options.get(member):
            return f"{member} changed"
    return "a new deployment was forced" if request.get("forceNewDeployment") else None


def _describe(service: Service, updated: Service) -> str:
    if service.desired_count != updated.desired_count:
        return f"desired count changed from {service.desired_count} to {updated.desired_count}"
    return "settings changed"
