"""Tags of any resource, by its ARN."""

from __future__ import annotations

from msgspec.structs import replace

from agent.protocol.arn import Arn
from controller.api.capacity_providers import find_capacity_provider
from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ClusterNotFoundException,
    InvalidParameterException,
    LimitExceededException,
    ResourceNotFoundException,
)
from controller.api.identifiers import is_ours, parse_arn
from controller.api.tags import MAX_TAGS, RESERVED_PREFIX, parse_tags, render_tags
from controller.state.entities import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Document,
    Service,
    Tag,
    Task,
    TaskDefinition,
    TaskSet,
    task_key,
)

Tagged = CapacityProvider | Cluster | ContainerInstance | Service | Task | TaskDefinition | TaskSet

_KINDS: dict[str, type[Tagged]] = {
    "capacity-provider": CapacityProvider,
    "cluster": Cluster,
    "container-instance": ContainerInstance,
    "service": Service,
    "task": Task,
    "task-definition": TaskDefinition,
    "task-set": TaskSet,
}
"""What a resource type in an ARN is kept as. A record's key is what follows the type."""

_IN_CLUSTERS = ("container-instance", "service", "task", "task-set")
"""Types whose ARNs carry the name of their cluster."""


def tag_resource(context: RequestContext, request: Document) -> Document:
    """Add tags to a resource; a key that it has already gets the new value.

    Raises:
        LimitExceededException: it would have more than 50 tags, ECS's own not counted.
    """
    given = parse_tags(request["tags"])
    resource = _found(context, request["resourceArn"])
    tags = {tag.key: tag for tag in (*resource.tags, *given)}
    if sum(not _is_reserved(key) for key in tags) > MAX_TAGS:
        raise LimitExceededException(f"A resource can not have more than {MAX_TAGS} tags.")
    _put_tags(context, resource, tuple(tags.values()))
    return {}


def untag_resource(context: RequestContext, request: Document) -> Document:
    """Remove tags of a resource by their keys; keys that it does not have are no error."""
    keys = set(request["tagKeys"])
    for key in keys:
        if _is_reserved(key):
            raise InvalidParameterException(
                f"Tags with the reserved prefix {RESERVED_PREFIX} can not be removed: {key}"
            )
    resource = _found(context, request["resourceArn"])
    _put_tags(context, resource, tuple(tag for tag in resource.tags if tag.key not in keys))
    return {}


async def list_tags_for_resource(context: RequestContext, request: Document) -> Document:
    """The tags of a resource; of a task as long as it can be described."""
    arn = parse_arn(request["resourceArn"])
    resource = _find(context, arn) or await _ended_task(context, arn)
    if resource is None:
        # The model gives this operation no error of its own for a missing resource.
        raise InvalidParameterException(_not_found(arn))
    return {"tags": render_tags(resource.tags)}


def cluster_of_resource(arn: str) -> str | None:
    """Name of the cluster that an instance or task, by its ARN, belongs to; None for anything else."""
    type_, *parts = parse_arn(arn).resource.split("/")
    if type_ in ("container-instance", "task") and len(parts) == 2:
        return parts[0]
    return None


def _found(context: RequestContext, resource_arn: str) -> Tagged:
    arn = parse_arn(resource_arn)
    resource = _find(context, arn)
    if resource is None:
        raise ResourceNotFoundException(_not_found(arn))
    return resource


def _find(context: RequestContext, arn: Arn) -> Tagged | None:
    """The resource of an ARN, None if there is none.

    Raises:
        ClusterNotFoundException: the ARN is of a cluster, and there is none.
        InvalidParameterException: nothing of this type has tags, the ARN is of the old short form, or the
            cluster or service is INACTIVE.
    """
    type_, _, key = arn.resource.partition("/")
    kind = _KINDS.get(type_)
    if kind is None or not key:
        raise InvalidParameterException("The ARN provided is invalid.")
    if type_ in _IN_CLUSTERS and "/" not in key:
        raise InvalidParameterException("Long arn format must be used for tagging operations")
    resource: Tagged | None = None
    if is_ours(context, arn):
        resource = (
            find_capacity_provider(context.read, key)
            if kind is CapacityProvider
            else context.read.get(kind, key)
        )
    if resource is None and kind is Cluster:
        raise ClusterNotFoundException
    if isinstance(resource, Cluster | Service) and resource.status == "INACTIVE":
        raise InvalidParameterException(
            f"The specified {type_} is inactive. Specify an active {type_} and try again."
        )
    return resource


async def _ended_task(context: RequestContext, arn: Arn) -> Task | None:
    """A task that has retired to the history; what is there changes no more."""
    type_, _, key = arn.resource.partition("/")
    cluster, _, id_ = key.partition("/")
    if type_ != "task" or not is_ours(context, arn) or task_key(cluster, id_) != key:
        return None
    return await context.state.history.ended_task(cluster, id_)


def _put_tags(context: RequestContext, resource: Tagged, tags: tuple[Tag, ...]) -> None:
    if tags != resource.tags:
        with context.transaction() as transaction:
            transaction.put(replace(resource, tags=tags), "tags changed")


def _is_reserved(key: str) -> bool:
    return key.lower().startswith(RESERVED_PREFIX)


def _not_found(arn: Arn) -> str:
    return f"The resource {arn} was not found."


OPERATIONS: dict[str, Handler] = {
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
