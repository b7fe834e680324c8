"""StopTask."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import resolve_cluster, task_id
from controller.api.operations.tasks.finding import find_task
from controller.api.render.task import render_task
from controller.state.entities import Document
from controller.state.lifecycle import decide_stop

DEFAULT_REASON = "Task stopped by user"


async def stop_task(context: RequestContext, request: Document) -> Document:
    """Decide that a task stops. For one whose stop is decided, or that has ended, it changes nothing."""
    cluster = resolve_cluster(context, request.get("cluster"))
    found = await find_task(context, cluster.name, task_id(context, cluster, request["task"]))
    if found is None:
        raise InvalidParameterException("The referenced task was not found.")
    reason = request.get("reason") or DEFAULT_REASON
    stopped = decide_stop(found, "UserInitiated", reason, context.clock.now())
    if stopped is not found:
        with context.transaction() as transaction:
            transaction.put(stopped, f"StopTask: {reason}")
    return {"task": render_task(stopped, context.read, with_tags=True)}
