"""What an agent may do whose key is bound to its container instance: act for that one and the tasks on it.

The cluster is checked before, as for every agent. The websockets are checked where they are opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agent.protocol.arn import last_segment
from controller.api.authentication import denied
from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import parse_arn
from controller.state.entities import Task, task_key

HOMEPORT_OPERATIONS = frozenset({"RenewAgentCredentials"})
"""Operations of our own service that such an agent may call."""


def authorise_instance(context: RequestContext, operation: str, request: Any) -> None:
    """Check that what an agent asks for concerns its own container instance; others are not concerned.

    Raises:
        AccessDeniedException: it concerns another one.
        InvalidParameterException: it is a report about a task of another one. An agent would repeat a report
            for ever that is refused in any other way.
    """
    if context.caller.instance and operation in CHECKS:
        CHECKS[operation](context, operation, request)


def _own_instances(context: RequestContext, operation: str, named: Iterable[str]) -> None:
    for each in named:
        if last_segment(each) != context.caller.instance:
            raise denied(context.caller, f"ecs:{operation}", each)


def _nothing(_context: RequestContext, _operation: str, _request: Any) -> None:
    """It concerns the cluster, or changes nothing."""


def _instance(member: str) -> Callable[[RequestContext, str, Any], None]:
    def check(context: RequestContext, operation: str, request: Any) -> None:
        named = request.get(member) or ()
        _own_instances(context, operation, (named,) if isinstance(named, str) else named)

    return check


def _tasks(context: RequestContext, operation: str, request: Any) -> None:
    for named in request.get("tasks") or ():
        if _runs_elsewhere(context, named):
            raise denied(context.caller, f"ecs:{operation}", named)


def _resource(context: RequestContext, operation: str, request: Any) -> None:
    named = request["resourceArn"]
    kind = parse_arn(named).resource.partition("/")[0]
    if kind == "container-instance":
        _own_instances(context, operation, (named,))
    elif kind != "task" or _runs_elsewhere(context, named):
        raise denied(context.caller, f"ecs:{operation}", named)


def _report(context: RequestContext, _operation: str, request: Any) -> None:
    if request.task and _runs_elsewhere(context, request.task):
        raise InvalidParameterException(
            f"Task {request.task} is not on this container instance: the agent where it is reports its state."
        )


def _runs_elsewhere(context: RequestContext, named: str) -> bool:
    """Whether a task is another instance's. One that is unknown is nobody's."""
    caller = context.caller
    task = context.read.get(Task, task_key(caller.cluster or "", last_segment(named)))
    return task is not None and task.instance != caller.instance


CHECKS: dict[str, Callable[[RequestContext, str, Any], None]] = {
    "CreateCluster": _nothing,
    "DiscoverPollEndpoint": _instance("containerInstance"),
    "GetTaskProtection": _tasks,
    "ListTagsForResource": _resource,
    "RegisterContainerInstance": _instance("containerInstanceArn"),
    "SubmitAttachmentStateChanges": _nothing,
    "SubmitContainerStateChange": _report,
    "SubmitTaskStateChange": _report,
    "UpdateContainerInstancesState": _instance("containerInstances"),
    "UpdateTaskProtection": _tasks,
}
"""The check of every operation that agents may call."""
