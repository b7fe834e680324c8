"""Task definition operations (ecs-semantics 3)."""

from __future__ import annotations

from controller.api.context import Handler
from controller.api.operations.task_definitions.delete import delete_task_definitions
from controller.api.operations.task_definitions.deregister import deregister_task_definition
from controller.api.operations.task_definitions.describe import describe_task_definition
from controller.api.operations.task_definitions.listing import (
    list_task_definition_families,
    list_task_definitions,
)
from controller.api.operations.task_definitions.register import register_task_definition

OPERATIONS: dict[str, Handler] = {
    "RegisterTaskDefinition": register_task_definition,
    "DeregisterTaskDefinition": deregister_task_definition,
    "DeleteTaskDefinitions": delete_task_definitions,
    "DescribeTaskDefinition": describe_task_definition,
    "ListTaskDefinitions": list_task_definitions,
    "ListTaskDefinitionFamilies": list_task_definition_families,
}
