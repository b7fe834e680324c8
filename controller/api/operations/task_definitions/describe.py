"""DescribeTaskDefinition."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.identifiers import resolve_task_definition
from controller.api.render.task_definition import render_task_definition
from controller.api.tags import render_tags
from controller.state.entities import Document


def describe_task_definition(context: RequestContext, request: Document) -> Document:
    """The newest ACTIVE revision of a family, or any revision by its number; tags when they are asked for."""
    definition = resolve_task_definition(context, request["taskDefinition"], for_launch=False)
    answer: Document = {"taskDefinition": render_task_definition(definition, context.read.names)}
    if "TAGS" in request.get("include", ()):
        answer["tags"] = render_tags(definition.tags)
    return answer
