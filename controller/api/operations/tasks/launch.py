"""What a RunTask or StartTask request asks for, checked, with defaults."""

from __future__ import annotations

import re

import msgspec

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, UnsupportedFeatureException
from controller.api.identifiers import resolve_task_definition
from controller.api.operations.launch_rules import (
    Capacity,
    check_launch_type,
    check_network,
    placement_of,
)
from controller.api.operations.tasks.overrides import overrides_of
from controller.api.tags import parse_tags
from controller.scheduler.demand import demand_of
from controller.scheduler.placement import PlacementRequest
from controller.state.entities import Cluster, Document, Tag, TaskDefinition

MAX_GROUP_LENGTH = 255
CLUSTER_NAME_TAG = "aws:ecs:clusterName"

_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{0,128}")
_DEPLOYMENT_PREFIX = "ecs-svc/"
_KEPT_MEMBERS = ("platformVersion", "enableExecuteCommand", "networkConfiguration", "referenceId")


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the tasks of one request have in common."""

    cluster: str
    definition: TaskDefinition
    launch_type: str
    strategy: tuple[Document, ...] = ()
    """The capacity provider strategy that the tasks are distributed by; empty for none."""
    started_by: str
    overrides: Document
    options: Document
    """Members that the tasks keep as given."""
    tags: tuple[Tag, ...]
    placement: PlacementRequest


def launch_of(
    context: RequestContext, cluster: Cluster, request: Document, capacity: Capacity, count: int
) -> Launch:
    """The launch that a RunTask or StartTask request asks for.

    Raises:
        ClientException: the task definition cannot be used.
        InvalidParameterException: a bad value, or values that do not go together.
        PlatformUnknownException: there is no such platform version.
        UnsupportedFeatureException: something that this controller does not have.
    """
    if "volumeConfigurations" in request:
        raise UnsupportedFeatureException(
            "volumeConfigurations is not available on this controller: use a docker volume or a host path."
        )
    launch_type = capacity.launch_type
    definition = resolve_task_definition(context, request["taskDefinition"])
    check_launch_type(definition, launch_type, request)
    check_network(definition, request.get("networkConfiguration"))
    constraints, strategies = placement_of(definition, request)
    overrides = overrides_of(definition, request.get("overrides"), launch_type)
    return Launch(
        cluster=cluster.name,
        definition=definition,
        launch_type=launch_type,
        strategy=capacity.strategy,
        started_by=_started_by(request),
        overrides=overrides,
        options={member: request[member] for member in _KEPT_MEMBERS if member in request},
        tags=_tags(request, definition, cluster),
        placement=PlacementRequest(
            demand=demand_of(definition, overrides),
            group=_group(request, definition),
            constraints=constraints,
            strategies=strategies,
            count=count,
        ),
    )


def _group(request: Document, definition: TaskDefinition) -> str:
    own_family = f"family:{definition.family}"
    group: str = request.get("group") or own_family
    if len(group) > MAX_GROUP_LENGTH:
        raise InvalidParameterException(f"group should be at most {MAX_GROUP_LENGTH} characters long.")
    if group.startswith("service:"):
        raise InvalidParameterException(
            "Invalid namespace for group. 'service:' is reserved for the tasks of services."
        )
    if group.startswith("family:") and group != own_family:
        raise InvalidParameterException(
            f"Invalid namespace for group. 'family:' is reserved for families: use {own_family}."
        )
    return group


def _started_by(request: Document) -> str:
    started_by: str = request.get("startedBy", "")
    if not _STARTED_BY.fullmatch(started_by):
        raise InvalidParameterException(
            "startedBy should be at most 128 characters long, of letters, numbers, hyphens, slashes and "
            "underscores."
        )
    if started_by.startswith(_DEPLOYMENT_PREFIX):
        raise InvalidParameterException(
            f"startedBy may not start with '{_DEPLOYMENT_PREFIX}': deployments of services do."
        )
    return started_by


def _tags(request: Document, definition: TaskDefinition, cluster: Cluster) -> tuple[Tag, ...]:
    """The request's tags, which win over propagated ones, and the managed ones."""
    propagate = request.get("propagateTags", "NONE")
    if propagate == "SERVICE":
        raise InvalidParameterException(
            "propagateTags should be TASK_DEFINITION or NONE for a standalone task."
        )
    tags = {tag.key: tag for tag in definition.tags} if propagate == "TASK_DEFINITION" else {}
    tags |= {tag.key: tag for tag in parse_tags(request.get("tags"))}
    if request.get("enableECSManagedTags"):
        tags[CLUSTER_NAME_TAG] = Tag(CLUSTER_NAME_TAG, cluster.name)
    return tuple(tags.values())
