"""How clients name things: a short name, an id or an ARN, resolved to what this controller has."""

from __future__ import annotations

from agent.protocol.arn import Arn
from controller.api.context import RequestContext
from controller.api.errors import ClientException, ClusterNotFoundException, InvalidParameterException
from controller.state.entities import Cluster, Document, Service, TaskDefinition, task_definition_key
from controller.state.indexes import DEFINITIONS_OF_FAMILY

DEFAULT_CLUSTER = "default"
LONGEST_REVISION = 9
"""Digits of a revision number; a family has at most a million revisions."""

ID_LENGTHS = (32, 36)
"""Ids are 32 hexadecimal digits; the 36 characters of a UUID are what ECS used before."""


def cluster_name(context: RequestContext, value: str | None) -> str:
    """Name of the cluster that a name or an ARN means; absent is `default`. It need not exist.

    Raises:
        ClusterNotFoundException: an ARN of another account or region.
        InvalidParameterException: an ARN of something else than a cluster.
    """
    if not value:
        return DEFAULT_CLUSTER
    if not value.startswith("arn:"):
        return value
    parts = _resource(context, value, "cluster", ClusterNotFoundException())
    if len(parts) != 1:
        raise InvalidParameterException(f"Unexpected number of separators: {value}")
    return parts[0]


def resolve_cluster(context: RequestContext, value: str | None) -> Cluster:
    """The ACTIVE cluster that a name or an ARN means; absent is `default`.

    Raises:
        ClusterNotFoundException: there is none, or it is INACTIVE.
        InvalidParameterException: an ARN of something else than a cluster.
    """
    cluster = context.read.get(Cluster, cluster_name(context, value))
    if cluster is None or cluster.status != "ACTIVE":
        raise ClusterNotFoundException
    return cluster


def task_id(context: RequestContext, cluster: Cluster, value: str) -> str:
    """Id of the task that an id or an ARN means; it need not exist.

    Raises:
        InvalidParameterException: an ARN of something else or another cluster, an id of the wrong length.
    """
    return _checked_id("taskId", _name_in_cluster(context, cluster, value, "task"))


def instance_id(context: RequestContext, cluster: Cluster, value: str) -> str:
    """Id of the instance that an id or an ARN means; it need not exist. Raises as `task_id` does."""
    return _checked_id("containerInstanceId", _name_in_cluster(context, cluster, value, "container-instance"))


def service_name(context: RequestContext, cluster: Cluster, value: str) -> str:
    """Name of the service that a name or an ARN means; it need not exist.

    Raises:
        InvalidParameterException: an ARN of something else or of another cluster.
    """
    return _name_in_cluster(context, cluster, value, "service")


def task_set_id(context: RequestContext, service: Service, value: str) -> str:
    """Id of the task set that an id (`ecs-svc/...`) or an ARN means; it need not exist.

    Raises:
        InvalidParameterException: an ARN of something else, or of another service's task set.
    """
    if not value.startswith("arn:"):
        return value
    foreign = InvalidParameterException(
        f"Invalid identifier: {value} is of another account or region than this controller's."
    )
    cluster, *rest = _resource(context, value, "task-set", foreign)
    if [cluster, *rest[:1]] != [service.cluster, service.name]:
        raise InvalidParameterException(
            f"Invalid identifier: {value} is not the ARN of a task set of service {service.name}."
        )
    return "/".join(rest[1:])


def resolve_task_definition(
    context: RequestContext, value: str, *, for_launch: bool = True
) -> TaskDefinition:
    """The revision that `family` (the newest ACTIVE one), `family:revision` or an ARN of either means.

    For a launch it must be ACTIVE; otherwise INACTIVE revisions are found by their number too.

    Raises:
        ClientException: there is none, or, for a launch, it is not ACTIVE.
    """
    family, _, revision = _family_and_revision(context, value, for_launch).partition(":")
    if not revision:
        definition = _newest_active(context, family)
    elif revision.isascii() and revision.isdigit() and len(revision) <= LONGEST_REVISION:
        definition = context.read.get(TaskDefinition, task_definition_key(family, int(revision)))
    else:
        raise InvalidParameterException(f"Invalid revision number. Number: {revision}")
    if definition is None:
        raise _no_definition(for_launch)
    if for_launch and definition.status != "ACTIVE":
        raise ClientException("TaskDefinition is inactive")
    return definition


def missing(arn: str, detail: str | None = None) -> Document:
    """A `failures` entry for something named that does not exist."""
    failure = {"arn": arn, "reason": "MISSING"}
    if detail is not None:
        failure["detail"] = detail
    return failure


def parse_arn(value: str) -> Arn:
    """A parsed ARN.

    Raises:
        InvalidParameterException: it is none.
    """
    try:
        return Arn.parse(value)
    except ValueError:
        raise InvalidParameterException("The ARN provided is invalid.") from None


def is_ours(context: RequestContext, arn: Arn) -> bool:
    """Whether an ARN is of ECS in this controller's account and region."""
    names = context.read.names
    return (arn.service, arn.region, arn.account) == ("ecs", names.region, names.account)


def _resource(context: RequestContext, value: str, kind: str, foreign: Exception) -> list[str]:
    """What follows the resource type in an ARN of `kind`, split. `foreign` is for another account's."""
    arn = parse_arn(value)
    type_, *parts = arn.resource.split("/")
    if type_ != kind or not parts or not all(parts):
        raise InvalidParameterException(f"Invalid identifier: {value} is not the ARN of a {kind}.")
    if not is_ours(context, arn):
        raise foreign
    return parts


def _name_in_cluster(context: RequestContext, cluster: Cluster, value: str, kind: str) -> str:
    if not value.startswith("arn:"):
        if "/" in value and kind != "service":
            return value.rpartition("/")[2]
        return value
    foreign = InvalidParameterException(
        f"Invalid identifier: {value} is of another account or region than this controller's."
    )
    parts = _resource(context, value, kind, foreign)
    if len(parts) > 2:
        raise InvalidParameterException(f"Unexpected number of separators: {value}")
    if len(parts) == 2 and parts[0] != cluster.name:
        raise InvalidParameterException(
            f"Invalid identifier: Identifier is for {parts[0]}. Your cluster is {cluster.name}"
        )
    return parts[-1]


def _checked_id(member: str, value: str) -> str:
    if len(value) not in ID_LENGTHS:
        raise InvalidParameterException(f"{member} length should be one of [32,36]")
    return value


def _family_and_revision(context: RequestContext, value: str, for_launch: bool) -> str:
    if not value.startswith("arn:"):
        return value
    parts = _resource(context, value, "task-definition", _no_definition(for_launch))
    if len(parts) != 1:
        raise InvalidParameterException(f"Unexpected number of separators: {value}")
    return parts[0]


def _newest_active(context: RequestContext, family: str) -> TaskDefinition | None:
    revisions = context.read.select(DEFINITIONS_OF_FAMILY, family).values()
    active = (definition for definition in revisions if definition.status == "ACTIVE")
    return max(active, key=lambda definition: definition.revision, default=None)


def _no_definition(for_launch: bool) -> ClientException:
    return ClientException(
        "TaskDefinition not found." if for_launch else "Unable to describe task definition."
    )
