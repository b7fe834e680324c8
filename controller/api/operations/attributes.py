"""Attributes of container instances: put, delete, list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    AttributeLimitExceededException,
    InvalidParameterException,
    TargetNotFoundException,
)
from controller.api.identifiers import instance_id, resolve_cluster
from controller.api.paging import page
from controller.api.render.instance import render_attribute
from controller.state.entities import Attribute, Cluster, ContainerInstance, Document, instance_key
from controller.state.indexes import INSTANCES_BY_CLUSTER

MAX_PER_CALL = 10
MAX_CUSTOM = 10
"""Custom attributes of an instance."""

TARGET_TYPE = "container-instance"
RESERVED_PREFIXES = ("ecs.", "com.amazonaws.ecs.")
"""Names of what agents register: built-in attributes and capabilities."""

_NAME = re.compile(r"[A-Za-z0-9_\-./\\]{1,128}")
_VALUE = re.compile(r"(?! )[A-Za-z0-9_\-.@/\\: ]{1,128}(?<! )")


def put_attributes(context: RequestContext, request: Document) -> Document:
    """Set custom attributes of instances: all, or none if one is refused.

    Raises:
        TargetNotFoundException: an instance is not in the cluster.
        AttributeLimitExceededException: an instance would have more than ten custom attributes.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    given = _given(context, cluster, request)
    changed: dict[str, ContainerInstance] = {}
    for instance, attribute in given:
        target = changed.get(instance.key, instance)
        attributes = {known.name: known for known in target.attributes} | {attribute.name: attribute}
        changed[instance.key] = replace(target, attributes=tuple(attributes.values()))
        _check_limit(instance, changed[instance.key])
    _put(context, changed, "attributes put")
    return {"attributes": [_render(context, instance, attribute) for instance, attribute in given]}


def delete_attributes(context: RequestContext, request: Document) -> Document:
    """Remove custom attributes; one that is given with a value only if it has that value.

    Raises:
        TargetNotFoundException: an instance is not in the cluster.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    changed: dict[str, ContainerInstance] = {}
    deleted = []
    for instance, attribute in _given(context, cluster, request):
        target = changed.get(instance.key, instance)
        for known in target.attributes:
            if known.name == attribute.name and attribute.value in (None, known.value):
                kept = tuple(other for other in target.attributes if other != known)
                changed[instance.key] = replace(target, attributes=kept)
                deleted.append(_render(context, instance, known))
    _put(context, changed, "attributes deleted")
    return {"attributes": deleted}


def list_attributes(context: RequestContext, request: Document) -> Document:
    """Attributes of a cluster's instances, built-in ones and capabilities included, one entry an instance."""
    cluster = resolve_cluster(context, request.get("cluster"))
    if "attributeValue" in request and "attributeName" not in request:
        raise InvalidParameterException("attributeName must be specified to filter by attributeValue.")
    found = {
        f"{instance.id}/{attribute.name}": (instance, attribute)
        for instance, attribute in _all_attributes(context, cluster)
        if attribute.name == request.get("attributeName", attribute.name)
        and attribute.value == request.get("attributeValue", attribute.value)
    }
    keys, token = page(
        found,
        request.get("nextToken"),
        request.get("maxResults"),
        default=100,
        maximum=100,
        operation="ListAttributes",
    )
    answer: Document = {"attributes": [_render(context, *found[key]) for key in keys]}
    if token:
        answer["nextToken"] = token
    return answer


def _all_attributes(
    context: RequestContext, cluster: Cluster
) -> Iterator[tuple[ContainerInstance, Attribute]]:
    for instance in context.read.select(INSTANCES_BY_CLUSTER, cluster.name).values():
        if instance.status != "INACTIVE":
            for attribute in instance.attributes:
                yield instance, attribute


def _given(
    context: RequestContext, cluster: Cluster, request: Document
) -> list[tuple[ContainerInstance, Attribute]]:
    """The attributes of a request with their instances, all checked."""
    attributes: Sequence[Document] = request["attributes"]
    if not attributes:
        raise InvalidParameterException("attributes can not be empty")
    if len(attributes) > MAX_PER_CALL:
        raise InvalidParameterException(f"attributes cannot exceed {MAX_PER_CALL}.")
    return [(_target(context, cluster, given), _checked(given)) for given in attributes]


def _checked(given: Document) -> Attribute:
    name, value = given["name"], given.get("value")
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            "An attribute name should have between 1 and 128 letters, numbers, hyphens, underscores, "
            "slashes, backslashes and periods."
        )
    if name.startswith(RESERVED_PREFIXES):
        raise InvalidParameterException(
            f"Attributes with the prefix {' or '.join(RESERVED_PREFIXES)} are reserved: {name}"
        )
    if value is not None and not _VALUE.fullmatch(value):
        raise InvalidParameterException(
            "An attribute value should have between 1 and 128 letters, numbers, hyphens, underscores, "
            "periods, at signs, slashes, backslashes, colons and spaces, and no space at either end."
        )
    return Attribute(name, value)


def _target(context: RequestContext, cluster: Cluster, given: Document) -> ContainerInstance:
    target = given.get("targetId")
    if not target:
        raise InvalidParameterException("targetId can not be null.")
    if target.startswith("arn:"):
        id_ = instance_id(context, cluster, target)
    elif "targetType" in given:
        id_ = target
    else:
        raise InvalidParameterException("targetType must be specified if targetId is not an ARN.")
    instance = context.read.get(ContainerInstance, instance_key(cluster.name, id_))
    if instance is None or instance.status == "INACTIVE":
        raise TargetNotFoundException(f"Could not find {target}")
    return instance


def _check_limit(before: ContainerInstance, after: ContainerInstance) -> None:
    # An agent may have registered more: what is there can still be changed.
    if _custom(after) > max(MAX_CUSTOM, _custom(before)):
        raise AttributeLimitExceededException(
            f"A container instance can not have more than {MAX_CUSTOM} custom attributes."
        )


def _custom(instance: ContainerInstance) -> int:
    return sum(not attribute.name.startswith(RESERVED_PREFIXES) for attribute in instance.attributes)


def _put(context: RequestContext, changed: Mapping[str, ContainerInstance], why: str) -> None:
    with context.transaction() as transaction:
        for instance in changed.values():
            transaction.put(instance, why)


def _render(context: RequestContext, instance: ContainerInstance, attribute: Attribute) -> Document:
    return {
        **render_attribute(attribute),
        "targetType": TARGET_TYPE,
        "targetId": context.read.names.instance(instance),
    }


OPERATIONS: dict[str, Handler] = {
    "DeleteAttributes": delete_attributes,
    "ListAttributes": list_attributes,
    "PutAttributes": put_attributes,
}
