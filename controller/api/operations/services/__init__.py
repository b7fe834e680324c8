"""Service operations (ecs-semantics 7)."""

from __future__ import annotations

from controller.api.context import Handler
from controller.api.operations.services.create import create_service
from controller.api.operations.services.delete import delete_service
from controller.api.operations.services.deployments import (
    describe_service_deployments,
    describe_service_revisions,
    list_service_deployments,
)
from controller.api.operations.services.describe import describe_services
from controller.api.operations.services.listing import list_services
from controller.api.operations.services.namespaces import list_services_by_namespace
from controller.api.operations.services.stop_deployment import (
    continue_service_deployment,
    stop_service_deployment,
)
from controller.api.operations.services.task_sets import (
    create_task_set,
    delete_task_set,
    describe_task_sets,
    update_service_primary_task_set,
    update_task_set,
)
from controller.api.operations.services.update import update_service

OPERATIONS: dict[str, Handler] = {
    "CreateService": create_service,
    "UpdateService": update_service,
    "DeleteService": delete_service,
    "DescribeServices": describe_services,
    "ListServices": list_services,
    "ListServicesByNamespace": list_services_by_namespace,
    "CreateTaskSet": create_task_set,
    "DescribeTaskSets": describe_task_sets,
    "UpdateTaskSet": update_task_set,
    "DeleteTaskSet": delete_task_set,
    "UpdateServicePrimaryTaskSet": update_service_primary_task_set,
    "ListServiceDeployments": list_service_deployments,
    "DescribeServiceDeployments": describe_service_deployments,
    "DescribeServiceRevisions": describe_service_revisions,
    "StopServiceDeployment": stop_service_deployment,
    "ContinueServiceDeployment": continue_service_deployment,
}
