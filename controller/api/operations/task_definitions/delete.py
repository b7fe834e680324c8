"""DeleteTaskDefinitions."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import ClientException, InvalidParameterException
from controller.api.identifiers import missing, resolve_task_definition
from controller.api.operations.task_definitions.revision import check_revision_named
from controller.api.render.task_definition import render_task_definition
from controller.state.entities import Document, TaskDefinition
from controller.state.kernel import Transaction

MAX_DELETED = 10

STILL_ACTIVE = (
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
)


def delete_task_definitions(context: RequestContext, request: Document) -> Document:
    """Have INACTIVE revisions go as soon as no task and no service refers to them; there is no way back.

    ACTIVE and unknown revisions are failures. One that is being deleted already is answered again.
    """
    references = list(dict.fromkeys(request["taskDefinitions"]))
    if not references:
        raise InvalidParameterException("size of TaskDefinition references list must be greater than 0")
    if len(references) > MAX_DELETED:
        raise InvalidParameterException(f"Size of TaskDefinition references list cannot exceed {MAX_DELETED}")
    for reference in references:
        check_revision_named(reference)
    found: dict[str, Document] = {}
    failures: list[Document] = []
    with context.transaction() as transaction:
        for reference in references:
            definition = _find(context, reference)
            if definition is None:
                failures.append(missing(reference, "The specified task definition does not exist."))
            elif definition.status == "ACTIVE":
                arn = context.read.names.task_definition(definition)
                failures.append({"arn": arn, "reason": STILL_ACTIVE})
            else:
                deleted = _delete(transaction, definition)
                found[deleted.key] = render_task_definition(deleted, context.read.names)
    return {"taskDefinitions": list(found.values()), "failures": failures}


def _find(context: RequestContext, reference: str) -> TaskDefinition | None:
    try:
        return resolve_task_definition(context, reference, for_launch=False)
    except ClientException:
        return None


def _delete(transaction: Transaction, definition: TaskDefinition) -> TaskDefinition:
    if definition.status == "DELETE_IN_PROGRESS":
        return definition
    deleted = replace(definition, status="DELETE_IN_PROGRESS", delete_requested_at=transaction.now)
    transaction.put(deleted, "to be deleted")
    return deleted
