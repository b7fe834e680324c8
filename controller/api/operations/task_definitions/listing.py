"""ListTaskDefinitions and ListTaskDefinitionFamilies."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.paging import page
from controller.state.entities import Document, TaskDefinition
from controller.state.indexes import DEFINITIONS_OF_FAMILY

PAGE_SIZE = 100

_REVISION_DIGITS = 10
_FAMILY_END = "\x00"
"""Sorts before every character of a family's name, so that all of `web` comes before `web-2`."""


def list_task_definitions(context: RequestContext, request: Document) -> Document:
    """ARNs by family and revision. `familyPrefix` is, in spite of its name, a whole family's name."""
    status = request.get("status", "ACTIVE")
    family = request.get("familyPrefix")
    candidates = (
        context.read.select(DEFINITIONS_OF_FAMILY, family) if family else context.read.all(TaskDefinition)
    )
    keys, token = page(
        (_sort_key(definition) for definition in candidates.values() if definition.status == status),
        request.get("nextToken"),
        request.get("maxResults"),
        default=PAGE_SIZE,
        maximum=PAGE_SIZE,
        operation="ListTaskDefinitions",
        descending=request.get("sort") == "DESC",
    )
    answer: Document = {"taskDefinitionArns": [_arn(context, key) for key in keys]}
    if token is not None:
        answer["nextToken"] = token
    return answer


def list_task_definition_families(context: RequestContext, request: Document) -> Document:
    """Families by name. A family is ACTIVE with an ACTIVE revision, and INACTIVE with only INACTIVE ones."""
    status = request.get("status", "ALL")
    prefix = request.get("familyPrefix", "")
    families: dict[str, bool] = {}
    for definition in context.read.all(TaskDefinition).values():
        if definition.family.startswith(prefix) and definition.status != "DELETE_IN_PROGRESS":
            active = definition.status == "ACTIVE"
            families[definition.family] = families.get(definition.family, False) or active
    wanted = {"ALL": (True, False), "ACTIVE": (True,), "INACTIVE": (False,)}[status]
    names, token = page(
        (name for name, active in families.items() if active in wanted),
        request.get("nextToken"),
        request.get("maxResults"),
        default=PAGE_SIZE,
        maximum=PAGE_SIZE,
        operation="ListTaskDefinitionFamilies",
    )
    answer: Document = {"families": names}
    if token is not None:
        answer["nextToken"] = token
    return answer


def _sort_key(definition: TaskDefinition) -> str:
    return f"{definition.family}{_FAMILY_END}{definition.revision:0{_REVISION_DIGITS}d}"


def _arn(context: RequestContext, key: str) -> str:
    family, _, revision = key.partition(_FAMILY_END)
    return context.read.names.task_definition_revision(family, int(revision))
