"""ExecuteCommand: checked as ECS does, then refused, since no agent takes commands yet."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, TargetNotConnectedException
from controller.api.identifiers import resolve_cluster, task_id
from controller.state.entities import Document, Task, task_key
from controller.state.lifecycle import is_running

NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute "
    "command agent isn't running. Wait and try again or run a new task with execute command enabled and try "
    "again."
)
NOT_CONNECTED = "The execute command failed due to an internal error. Try again later."


def execute_command(context: RequestContext, request: Document) -> Document:
    """Refuse to run a command in a container, and say what is wrong with the request first."""
    cluster = resolve_cluster(context, request.get("cluster"))
    task = context.read.get(Task, task_key(cluster.name, task_id(context, cluster, request["task"])))
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    if not request["interactive"]:
        raise InvalidParameterException("Interactive is the only mode supported currently.")
    if not is_running(task):
        raise InvalidParameterException("The execute command failed because the task is not RUNNING.")
    _check_container(task, request)
    if not task.options.get("enableExecuteCommand"):
        raise InvalidParameterException(NOT_ENABLED)
    raise TargetNotConnectedException(NOT_CONNECTED)


def _check_container(task: Task, request: Document) -> None:
    names = [container.name for container in task.containers]
    if "container" not in request:
        if len(names) > 1:
            raise InvalidParameterException("The task has several containers: specify a container name.")
    elif request["container"] not in names:
        raise InvalidParameterException("The specified container was not found in the task.")
