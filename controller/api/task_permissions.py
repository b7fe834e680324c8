"""What a caller with the credentials of a task's role may do: what the role permits, in its own cluster."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.arn import last_segment
from controller.api.authentication import denied
from controller.api.context import RequestContext
from controller.api.identifiers import cluster_name, parse_arn, resolve_task_definition
from controller.roles.issuing import ROLE_MEMBERS, role_name
from controller.roles.permissions import ARN_MEMBERS, SCOPES, permitted
from controller.state.entities import Document, TaskRole

OWN_PROTECTION = frozenset({"GetTaskProtection", "UpdateTaskProtection"})
"""What every task may do whatever its role: see and change the scale-in protection of itself. Agents pass on
with the task's credentials what containers ask of their endpoint for it."""

IN_CLUSTERS = frozenset(
    {
        "cluster",
        "container-instance",
        "service",
        "service-deployment",
        "service-revision",
        "task",
        "task-set",
    }
)
"""Types of resources whose ARNs name a cluster."""

LAUNCHING = frozenset({"CreateService", "CreateTaskSet", "RunTask", "StartTask", "UpdateService"})
"""Operations that have tasks of a definition run."""

NO_CLUSTER = ""
"""Stands for the cluster of what belongs to the whole account; it is no task's own."""


def authorise_task(context: RequestContext, operation: str, request: Document) -> None:
    """Check that a task may do an operation of ECS.

    Raises:
        AccessDeniedException: its role does not permit it, it concerns another cluster, or it would start
            tasks with a role that this one must not pass on.
        InvalidParameterException: an ARN cannot be read.
        ClientException: the task definition to run does not exist.
    """
    caller = context.caller
    clusters = set(clusters_named(context, operation, request)) if operation in SCOPES else set()
    if clusters <= {caller.cluster}:
        if operation in OWN_PROTECTION and _is_about_itself(context, request):
            return
        role = context.read.get(TaskRole, caller.task_role)
        if role is not None and operation in SCOPES and operation in permitted(role.allowed):
            _check_passed_roles(context, role, operation, request)
            return
    raise denied(caller, f"ecs:{operation}")


def clusters_named(context: RequestContext, operation: str, request: Document) -> Iterator[str]:
    """Names of the clusters that a request concerns, as the operation's scope tells.

    Raises:
        ClusterNotFoundException: the ARN of a cluster is of another account or region.
        InvalidParameterException: an ARN cannot be read.
    """
    match SCOPES[operation]:
        case "cluster":
            yield cluster_name(context, request.get("cluster"))
        case "clusters":
            for name in request.get("clusters") or (None,):
                yield cluster_name(context, name)
        case "arn":
            yield from _clusters_of_arn(request[ARN_MEMBERS[operation]])
        case "arns":
            for arn in request[ARN_MEMBERS[operation]]:
                yield from _clusters_of_arn(arn)
        case "none":
            return


def _check_passed_roles(context: RequestContext, role: TaskRole, operation: str, request: Document) -> None:
    """Nobody may start tasks that can do more than what was meant for them.

    Raises:
        AccessDeniedException: the tasks would have a role that this one must not pass on.
        ClientException, InvalidParameterException: there is no such task definition.
    """
    for arn in roles_passed(context, operation, request):
        if role_name(arn) not in (role.name, *role.passes):
            raise denied(context.caller, "iam:PassRole", arn)


def roles_passed(context: RequestContext, operation: str, request: Document) -> Iterator[str]:
    """ARNs of the roles that a request gives to tasks: those of the definition that it registers or has run,
    and those that it overrides.

    Raises as `resolve_task_definition` does.
    """
    documents = [request.get("overrides") or {}]
    if operation == "RegisterTaskDefinition":
        documents.append(request)
    elif operation in LAUNCHING and request.get("taskDefinition"):
        documents.append(resolve_task_definition(context, request["taskDefinition"]).document)
    for document in documents:
        for member in ROLE_MEMBERS.values():
            if document.get(member):
                yield document[member]


def _clusters_of_arn(arn: str) -> Iterator[str]:
    """The cluster in an ARN, which follows the type of the resource; NO_CLUSTER for types that have none and
    are not a task definition either."""
    type_, _, rest = parse_arn(arn).resource.partition("/")
    if type_ in IN_CLUSTERS:
        yield rest.partition("/")[0]
    elif type_ != "task-definition":
        yield NO_CLUSTER


def _is_about_itself(context: RequestContext, request: Document) -> bool:
    tasks = request.get("tasks") or ()
    return bool(tasks) and all(last_segment(task) == context.caller.task for task in tasks)
