"""RegisterTaskDefinition."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import ClientException
from controller.api.render.task_definition import render_task_definition
from controller.api.tags import parse_tags, render_tags
from controller.api.task_definition_rules import (
    check_definition,
    compatibilities,
    normalise,
    required_attributes,
)
from controller.state.entities import Document, TaskDefinition, TaskDefinitionFamily


def register_task_definition(context: RequestContext, request: Document) -> Document:
    """Register the next revision of a family.

    A number is never used twice: the family's counter survives the deletion of its revisions.
    """
    if request.get("tags") == []:
        raise ClientException("Tags can not be empty.")
    tags = parse_tags(request.get("tags"))
    document = normalise(request)
    check_definition(document)
    with context.transaction() as transaction:
        family = transaction.get(TaskDefinitionFamily, document["family"])
        revision = family.last_revision + 1 if family is not None else 1
        transaction.put(TaskDefinitionFamily(name=document["family"], last_revision=revision))
        definition = TaskDefinition(
            family=document["family"],
            revision=revision,
            document=document,
            requires_attributes=required_attributes(document),
            compatibilities=compatibilities(document),
            registered_at=context.clock.now(),
            registered_by=context.caller.arn,
            tags=tags,
        )
        transaction.put(definition, f"registered as revision {revision}")
    answer: Document = {"taskDefinition": render_task_definition(definition, context.read.names)}
    if tags:
        answer["tags"] = render_tags(tags)
    return answer
