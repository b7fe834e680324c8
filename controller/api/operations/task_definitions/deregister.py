"""DeregisterTaskDefinition."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.identifiers import resolve_task_definition
from controller.api.operations.task_definitions.revision import check_revision_named
from controller.api.render.task_definition import render_task_definition
from controller.state.entities import Document


def deregister_task_definition(context: RequestContext, request: Document) -> Document:
    """Make one revision INACTIVE. What runs on it keeps running, and services may still scale with it.

    Deregistering a revision that is not ACTIVE changes nothing and answers it again.
    """
    check_revision_named(request["taskDefinition"])
    definition = resolve_task_definition(context, request["taskDefinition"], for_launch=False)
    if definition.status == "ACTIVE":
        definition = replace(definition, status="INACTIVE", deregistered_at=context.clock.now())
        with context.transaction() as transaction:
            transaction.put(definition, "deregistered")
    return {"taskDefinition": render_task_definition(definition, context.read.names)}
