"""The operations, one module a resource."""

from __future__ import annotations

from controller.api.context import Handler
from controller.api.operations import (
    account_settings,
    attributes,
    aws_only,
    capacity_providers,
    clusters,
    container_instances,
    registration,
    services,
    tags,
    task_definitions,
    tasks,
)

ECS_OPERATIONS: dict[str, Handler] = {
    **account_settings.OPERATIONS,
    **attributes.OPERATIONS,
    **aws_only.OPERATIONS,
    **capacity_providers.OPERATIONS,
    **clusters.OPERATIONS,
    **container_instances.OPERATIONS,
    **registration.OPERATIONS,
    **services.OPERATIONS,
    **tags.OPERATIONS,
    **task_definitions.OPERATIONS,
    **tasks.OPERATIONS,
}
"""The ECS operations of this controller whose input is checked against the service model, by name."""
