"""Tasks by id, wherever they are kept."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.state.entities import Task, task_key


async def find_task(context: RequestContext, cluster: str, task_id: str) -> Task | None:
    """A task of the state, or one that ended and retired to the history."""
    task = context.read.get(Task, task_key(cluster, task_id))
    return task or await context.state.history.ended_task(cluster, task_id)
