"""Task sets, which belong to services with the deployment controller EXTERNAL; there are none of these."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import (
    InvalidParameterException,
    TaskSetNotFoundException,
    UnsupportedFeatureException,
)
from controller.api.identifiers import missing
from controller.api.operations.services.finding import active_service
from controller.state.entities import Document


def create_task_set(context: RequestContext, request: Document) -> Document:
    """Refused: every service has the controller ECS, whose deployments are started by UpdateService."""
    active_service(context, request)
    raise UnsupportedFeatureException(
        "Task sets belong to services with the deployment controller EXTERNAL, which is not available on "
        "this controller: use UpdateService, which starts a rolling deployment."
    )


def describe_task_sets(context: RequestContext, request: Document) -> Document:
    """The task sets of a service: none, and a failure for each that is named."""
    active_service(context, request)
    named = dict.fromkeys(request.get("taskSets", ()))
    return {"taskSets": [], "failures": [missing(name) for name in named]}


def change_task_set(context: RequestContext, request: Document) -> Document:
    """UpdateTaskSet, DeleteTaskSet, UpdateServicePrimaryTaskSet: the task set that they name is not there."""
    active_service(context, request)
    if not (request.get("taskSet") or request.get("primaryTaskSet")):
        raise InvalidParameterException("Task Set can not be blank.")
    raise TaskSetNotFoundException
