"""DescribeTasks."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import missing, resolve_cluster, task_id
from controller.api.operations.tasks.finding import find_task
from controller.api.render.task import render_task
from controller.state.entities import Document

MAX_DESCRIBED = 100


async def describe_tasks(context: RequestContext, request: Document) -> Document:
    """Tasks in the order in which they were named, each once; those that nobody knows are failures.

    Ended tasks stay describable for as long as the history is kept.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    if not request["tasks"]:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(request["tasks"]) > MAX_DESCRIBED:
        raise InvalidParameterException(f"Tasks cannot exceed {MAX_DESCRIBED} items.")
    with_tags = "TAGS" in request.get("include", ())
    tasks, failures = [], []
    for id_ in dict.fromkeys(task_id(context, cluster, value) for value in request["tasks"]):
        task = await find_task(context, cluster.name, id_)
        if task is None:
            failures.append(missing(context.read.names.task_id(cluster.name, id_)))
        else:
            tasks.append(render_task(task, context.read, with_tags=with_tags))
    return {"tasks": tasks, "failures": failures}
