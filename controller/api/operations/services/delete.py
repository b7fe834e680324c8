"""DeleteService."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ServiceNotFoundException
from controller.api.operations.services.finding import named_service
from controller.api.render.service import render_service
from controller.services.task_sets import draining
from controller.state.entities import Document
from controller.state.indexes import TASK_SETS_OF_SERVICE


def delete_service(context: RequestContext, request: Document) -> Document:
    """Have a service drain. It is INACTIVE once its last task has gone, and stays describable."""
    service = named_service(context, request)
    if service.status == "INACTIVE":
        raise ServiceNotFoundException
    if service.status == "ACTIVE":
        is_replica = service.scheduling_strategy == "REPLICA"
        if is_replica and service.desired_count > 0 and not request.get("force"):
            raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
        service = replace(service, status="DRAINING", desired_count=0)
        with context.transaction() as transaction:
            transaction.put(service, "deleted by force" if request.get("force") else "deleted")
            for task_set in list(transaction.select(TASK_SETS_OF_SERVICE, service.key).values()):
                transaction.put(draining(task_set, transaction.now), "its service was deleted")
    return {"service": render_service(service, context.read, with_tags=True)}
