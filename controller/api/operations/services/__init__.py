"""Service operations (ecs-semantics 7)."""

from __future__ import annotations

from controller.api.context import Handler
from controller.api.operations.services.create import create_service
from controller.api.operations.services.delete import delete_service
from controller.api.operations.services.describe import describe_services
from controller.api.operations.services.listing import list_services
from controller.api.operations.services.update import update_service

OPERATIONS: dict[str, Handler] = {
    "CreateService": create_service,
    "UpdateService": update_service,
    "DeleteService": delete_service,
    "DescribeServices": describe_services,
    "ListServices": list_services,
}
