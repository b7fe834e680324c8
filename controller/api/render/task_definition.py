"""A task definition as the API shows it."""

from __future__ import annotations

from controller.state.entities import Document, TaskDefinition
from controller.state.names import Names


def render_task_definition(definition: TaskDefinition, names: Names) -> Document:
    """The `taskDefinition` structure. Its tags are shown beside it, never in it."""
    shown = {
        **definition.document,
        "taskDefinitionArn": names.task_definition(definition),
        "revision": definition.revision,
        "status": definition.status,
        "requiresAttributes": [{"name": name} for name in definition.requires_attributes],
        "compatibilities": list(definition.compatibilities),
        "registeredAt": definition.registered_at,
        "registeredBy": definition.registered_by,
    }
    if definition.deregistered_at is not None:
        shown["deregisteredAt"] = definition.deregistered_at
    if definition.delete_requested_at is not None:
        shown["deleteRequestedAt"] = definition.delete_requested_at
    return shown
