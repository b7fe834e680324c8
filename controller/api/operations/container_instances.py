"""Container instances: where agents connect, describe, list, drain, deregister, update."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.authentication import denied
from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ClientException,
    ClusterNotFoundException,
    InvalidParameterException,
    MissingVersionException,
    NoUpdateAvailableException,
)
from controller.api.identifiers import instance_id, missing, resolve_cluster
from controller.api.paging import page
from controller.api.render.instance import render_instance
from controller.scheduler.candidates import facts_of
from controller.scheduler.query import Expression, QuerySyntaxError, matches, parse
from controller.state.entities import (
    Cluster,
    ContainerInstance,
    Document,
    InstanceStatus,
    Task,
    instance_key,
)
from controller.state.indexes import INSTANCES_BY_CLUSTER, TASKS_ON_INSTANCE
from controller.state.lifecycle import decide_stop, is_ended, set_disposition

MAX_DESCRIBED = 100
MAX_UPDATED = 10
FORCED_REASON = "Container instance deregistration forced by user"
UPDATABLE: tuple[InstanceStatus, ...] = ("ACTIVE", "DRAINING")


def discover_poll_endpoint(context: RequestContext, request: Document) -> Document:
    """Where an agent connects: under the address at which it reached this controller, or the public one.

    Agents append `ws`. They keep the answer for twelve hours.
    """
    try:
        cluster = resolve_cluster(context, request.get("cluster"))
    except ClusterNotFoundException as error:
        # The model gives this operation no error of its own for a missing cluster.
        raise ClientException(error.message) from None
    if value := request.get("containerInstance"):
        instance = _find(context, cluster, value)
        if instance is not None:
            context.signs_of_life(cluster.name, instance.id)
    base = (context.config.public_url or context.base_url).rstrip("/")
    return {"endpoint": f"{base}/acs/", "telemetryEndpoint": f"{base}/tcs/"}


def describe_container_instances(context: RequestContext, request: Document) -> Document:
    """Describe instances by id or ARN, INACTIVE ones too."""
    cluster = resolve_cluster(context, request.get("cluster"))
    found, failures = _named(context, cluster, request["containerInstances"], MAX_DESCRIBED)
    include = request.get("include", ())
    return {
        "containerInstances": [render_instance(instance, context.read, include) for instance in found],
        "failures": failures,
    }


def list_container_instances(context: RequestContext, request: Document) -> Document:
    """ARNs of a cluster's instances: those of a status, or all that are not INACTIVE."""
    cluster = resolve_cluster(context, request.get("cluster"))
    expression = _filter(request)
    status = request.get("status")
    instances = context.read.select(INSTANCES_BY_CLUSTER, cluster.name).values()
    ids, token = page(
        (
            instance.id
            for instance in instances
            if (instance.status == status if status else instance.status != "INACTIVE")
            and (expression is None or matches(expression, facts_of(context.read, instance)))
        ),
        request.get("nextToken"),
        request.get("maxResults"),
        default=100,
        maximum=100,
        operation="ListContainerInstances",
    )
    names = context.read.names
    answer: Document = {"containerInstanceArns": [names.instance_id(cluster.name, id_) for id_ in ids]}
    if token:
        answer["nextToken"] = token
    return answer


def update_container_instances_state(context: RequestContext, request: Document) -> Document:
    """Start or end the draining of instances."""
    cluster = resolve_cluster(context, request.get("cluster"))
    status: InstanceStatus = request["status"]
    if status not in UPDATABLE:
        raise InvalidParameterException("Container instance status should be one of [ACTIVE, DRAINING]")
    if context.caller.role == "agent" and len(request["containerInstances"]) != 1:
        # An agent speaks for the machine it runs on.
        raise denied(context.caller, "ecs:UpdateContainerInstancesState")
    found, failures = _named(context, cluster, request["containerInstances"], MAX_UPDATED)
    updated = []
    with context.transaction() as transaction:
        for instance in found:
            if instance.status == "INACTIVE":
                failures.append(
                    {
                        "arn": context.read.names.instance(instance),
                        "reason": "INACTIVE",
                        "detail": "The container instance is deregistered.",
                    }
                )
                continue
            if instance.status != status:
                instance = replace(instance, status=status, version=instance.version + 1)
                transaction.put(instance, f"set to {status}")
            updated.append(instance)
    return {
        "containerInstances": [render_instance(instance, context.read, ()) for instance in updated],
        "failures": failures,
    }


def deregister_container_instance(context: RequestContext, request: Document) -> Document:
    """Make an instance INACTIVE. With `force` its tasks no longer count, though containers may go on."""
    cluster = resolve_cluster(context, request.get("cluster"))
    instance = _find(context, cluster, request["containerInstance"])
    if instance is None:
        raise InvalidParameterException("The referenced container instance was not found.")
    tasks = list(context.read.select(TASKS_ON_INSTANCE, instance.key).values())
    if not request.get("force") and not all(is_ended(task) for task in tasks):
        raise InvalidParameterException("Found running tasks on the instance.")
    with context.transaction() as transaction:
        for task in tasks:
            transaction.put(_orphaned(task, transaction.now), FORCED_REASON)
        if instance.status != "INACTIVE":
            instance = replace(
                instance, status="INACTIVE", version=instance.version + 1, deleted_at=transaction.now
            )
            transaction.put(instance, "deregistered")
    return {"containerInstance": render_instance(instance, context.read, ())}


def update_container_agent(context: RequestContext, request: Document) -> Document:
    """Say that there is no newer agent: this controller hands out none, and machines keep the one they have.

    Raises:
        MissingVersionException: the instance's agent never told its version.
        NoUpdateAvailableException: always else.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    instance = _find(context, cluster, request["containerInstance"])
    if instance is None or instance.status == "INACTIVE":
        raise InvalidParameterException("The referenced container instance was not found.")
    if not instance.agent_version:
        raise MissingVersionException("The version of the container agent on this instance is not known.")
    raise NoUpdateAvailableException(
        f"There is no update available for the container agent {instance.agent_version}: this controller "
        "hands out no agents. Install another version on the machine and start it; its tasks go on."
    )


def _filter(request: Document) -> Expression | None:
    if not request.get("filter"):
        return None
    try:
        return parse(request["filter"])
    except QuerySyntaxError as error:
        raise InvalidParameterException(f"Invalid filter: {error}") from None


def _orphaned(task: Task, now: float) -> Task:
    """A task whose machine is struck off: it is STOPPED in the books and holds nothing there any more."""
    stopped = decide_stop(task, "UserInitiated", FORCED_REASON, now)
    if is_ended(stopped) and stopped.disposition != "GIVEN_UP":
        return stopped
    return set_disposition(stopped, "FORCED", now)


def _named(
    context: RequestContext, cluster: Cluster, values: list[str], maximum: int
) -> tuple[list[ContainerInstance], list[Document]]:
    if not values:
        raise ClientException("Container Instances cannot be empty.")
    if len(values) > maximum:
        raise InvalidParameterException(f"Container Instances cannot exceed {maximum}.")
    found, failures = [], []
    for id_ in dict.fromkeys(instance_id(context, cluster, value) for value in values):
        instance = context.read.get(ContainerInstance, instance_key(cluster.name, id_))
        if instance is None:
            failures.append(missing(context.read.names.instance_id(cluster.name, id_)))
        else:
            found.append(instance)
    return found, failures


def _find(context: RequestContext, cluster: Cluster, value: str) -> ContainerInstance | None:
    id_ = instance_id(context, cluster, value)
    return context.read.get(ContainerInstance, instance_key(cluster.name, id_))


OPERATIONS: dict[str, Handler] = {
    "DeregisterContainerInstance": deregister_container_instance,
    "DescribeContainerInstances": describe_container_instances,
    "DiscoverPollEndpoint": discover_poll_endpoint,
    "ListContainerInstances": list_container_instances,
    "UpdateContainerAgent": update_container_agent,
    "UpdateContainerInstancesState": update_container_instances_state,
}
