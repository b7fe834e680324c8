"""StopServiceDeployment and ContinueServiceDeployment."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import (
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
)
from controller.api.operations.services.deployments import SERVICE_DEPLOYMENT, find_deployment
from controller.services.events import (
    EVENT_KIND,
    ServiceEvent,
    about,
    encode_event,
    rolling_back,
    service_object,
)
from controller.services.revisions import (
    abort,
    ended,
    roll_back,
    settings_of,
    status_of,
    with_settings,
)
from controller.state.entities import Deployment, Document, Service, deployment_key, service_key
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE
from controller.state.kernel import Transaction

STOPPED_BY_USER = "Stopped by StopServiceDeployment"


async def stop_service_deployment(context: RequestContext, request: Document) -> Document:
    """Stop a deployment that goes on: ROLLBACK (the default) makes the last completed revision what the
    service runs again, ABORT leaves what runs as it is and starts nothing more."""
    arn = request["serviceDeploymentArn"]
    found = await find_deployment(context, arn, SERVICE_DEPLOYMENT)
    if found is None:
        raise ServiceDeploymentNotFoundException
    with context.transaction() as transaction:
        # Read again: it may have ended while the history was asked.
        deployment = transaction.get(Deployment, found.key)
        service = transaction.get(Service, service_key(found.cluster, found.service))
        status = status_of(deployment or found)
        running = deployment is not None and status in ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
        if deployment is None or service is None or not running or service.status != "ACTIVE":
            raise ConflictException(f"The service deployment cannot be stopped: it is {status}.")
        if request.get("stopType") == "ABORT":
            _abort(transaction, deployment)
        elif status == "IN_PROGRESS":
            _roll_back(context, transaction, service, deployment)
    return {"serviceDeploymentArn": arn}


async def continue_service_deployment(context: RequestContext, request: Document) -> Document:
    """No deployment waits at a lifecycle hook: services with hooks are refused."""
    found = await find_deployment(context, request["serviceDeploymentArn"], SERVICE_DEPLOYMENT)
    if found is None:
        raise ServiceDeploymentNotFoundException
    raise InvalidParameterException(
        f"The service deployment waits at no lifecycle hook {request['hookId']}: it is {status_of(found)}."
    )


def _roll_back(
    context: RequestContext, transaction: Transaction, service: Service, deployment: Deployment
) -> None:
    key = deployment_key(service.cluster, service.name, deployment.rolls_back_to)
    target = transaction.get(Deployment, key)
    if target is None:
        raise InvalidParameterException(
            "There is no completed service deployment to roll back to: use the stop type ABORT."
        )
    failed, again = roll_back(deployment, target, STOPPED_BY_USER, transaction.now)
    transaction.put(failed, f"rolled back to {target.id}: {STOPPED_BY_USER}")
    transaction.put(again, f"{deployment.id} is rolled back to it")
    restored = with_settings(service, settings_of(target, service))
    if restored != service:
        transaction.put(restored, f"settings of {target.id} restored")
    text = about(service.name, rolling_back(target.id))
    event = ServiceEvent(context.ids.uuid(), transaction.now, text)
    transaction.record_event(service_object(service.key), EVENT_KIND, encode_event(event))


def _abort(transaction: Transaction, deployment: Deployment) -> None:
    if status_of(deployment) == "ROLLBACK_IN_PROGRESS":
        failed = ended(deployment, "ROLLBACK_FAILED", STOPPED_BY_USER, transaction.now)
        transaction.put(failed, "its rollback was aborted")
        deployment = _primary(transaction, deployment)
    transaction.put(abort(deployment, STOPPED_BY_USER, transaction.now), "aborted")


def _primary(transaction: Transaction, rolled_back: Deployment) -> Deployment:
    service = service_key(rolled_back.cluster, rolled_back.service)
    present = transaction.select(DEPLOYMENTS_OF_SERVICE, service).values()
    return next(item for item in present if item.status == "PRIMARY")
