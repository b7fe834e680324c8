"""RunTask: place what can be placed, at once or not at all, and say why for the rest."""

from __future__ import annotations

import random

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import resolve_cluster
from controller.api.operations.launch_rules import launch_type_of
from controller.api.operations.tasks.launch import Launch, launch_of
from controller.api.operations.tasks.starting import failures_of, start
from controller.api.operations.tasks.tokens import answer_again, earlier_call, token_of
from controller.api.render.task import render_task
from controller.scheduler.candidates import candidates_of
from controller.scheduler.explain import NO_INSTANCES
from controller.scheduler.placement import Plan, place
from controller.state.entities import Document

COUNTS = range(1, 11)


async def run_task(context: RequestContext, request: Document) -> Document:
    """Start up to ten tasks. A repeated client token answers with the tasks of the first call.

    Nothing is awaited between looking for places and taking them.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    earlier = earlier_call(context, cluster.name, request)
    if earlier is not None:
        return await answer_again(context, earlier)
    launch = launch_of(context, cluster, request, launch_type_of(request, cluster), _count_of(request))
    plan = _plan(context, launch)
    failures = failures_of(context, launch, plan)
    with context.transaction() as transaction:
        tasks = [start(context, transaction, launch, name, "RunTask") for name in plan.placements]
        # A call that started nothing may be tried again under its token.
        if tasks:
            ids = tuple(task.id for task in tasks)
            token = token_of(cluster.name, request, ids, tuple(failures), transaction.now)
            if token is not None:
                transaction.put(token)
    return {
        "tasks": [render_task(task, context.read, with_tags=True) for task in tasks],
        "failures": failures,
    }


def _count_of(request: Document) -> int:
    count: int = request.get("count", 1)
    if count not in COUNTS:
        raise InvalidParameterException("count should be between 1 and 10.")
    return count


def _plan(context: RequestContext, launch: Launch) -> Plan:
    group, constraints = launch.placement.group, launch.placement.constraints
    candidates = candidates_of(context.read, launch.cluster, group, with_groups=constraints.asks_for_groups)
    if not candidates:
        raise InvalidParameterException(NO_INSTANCES)
    return place(launch.placement, candidates, random.Random(context.ids.hex32()))
