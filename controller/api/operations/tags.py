"""Tags of any resource, by its ARN."""

from __future__ import annotations

from agent.protocol.arn import Arn
from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ClusterNotFoundException,
    InvalidParameterException,
    ResourceNotFoundException,
)
from controller.api.identifiers import is_ours, parse_arn
from controller.api.tags import render_tags
from controller.state.entities import (
    Cluster,
    ContainerInstance,
    Document,
    Service,
    Tag,
    Task,
    TaskDefinition,
)

_KINDS: dict[str, type[Cluster | ContainerInstance | Service | Task | TaskDefinition]] = {
    "cluster": Cluster,
    "container-instance": ContainerInstance,
    "service": Service,
    "task": Task,
    "task-definition": TaskDefinition,
}
"""What a resource type in an ARN is kept as. A record's key is what follows the type."""


def list_tags_for_resource(context: RequestContext, request: Document) -> Document:
    """The tags of a cluster, service, task, task definition or container instance."""
    return {"tags": render_tags(_tags(context, parse_arn(request["resourceArn"])))}


def cluster_of_resource(arn: str) -> str | None:
    """Name of the cluster that an instance or task, by its ARN, belongs to; None for anything else."""
    type_, *parts = parse_arn(arn).resource.split("/")
    if type_ in ("container-instance", "task") and len(parts) == 2:
        return parts[0]
    return None


def _tags(context: RequestContext, arn: Arn) -> tuple[Tag, ...]:
    type_, _, key = arn.resource.partition("/")
    kind = _KINDS.get(type_)
    if kind is None:
        raise InvalidParameterException("The ARN provided is invalid.")
    found = context.read.get(kind, key) if is_ours(context, arn) else None
    if found is None:
        if kind is Cluster:
            raise ClusterNotFoundException
        raise ResourceNotFoundException(f"The resource {arn} was not found.")
    return found.tags


OPERATIONS: dict[str, Handler] = {"ListTagsForResource": list_tags_for_resource}
