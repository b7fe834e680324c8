"""RunTask: place what can be placed, at once or not at all, and say why for the rest."""

from __future__ import annotations

import random

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import resolve_cluster
from controller.api.operations.launch_rules import capacity_of
from controller.api.operations.tasks.launch import Launch, launch_of
from controller.api.operations.tasks.starting import failures_of, start
from controller.api.operations.tasks.tokens import answer_again, earlier_call, token_of
from controller.api.render.task import render_task
from controller.scheduler.candidates import candidates_of
from controller.scheduler.capacity import distribute
from controller.scheduler.explain import NO_INSTANCES, NO_INSTANCES_OF_PROVIDER
from controller.scheduler.placement import Plan, place, place_for_providers
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
    capacity = capacity_of(context.read, request, cluster)
    launch = launch_of(context, cluster, request, capacity, _count_of(request))
    plan, providers = _plan(context, launch)
    failures = failures_of(context, launch, plan)
    with context.transaction() as transaction:
        tasks = [
            start(context, transaction, launch, name, "RunTask", provider)
            for name, provider in zip(plan.placements, providers, strict=True)
        ]
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


def _plan(context: RequestContext, launch: Launch) -> tuple[Plan, list[str]]:
    """Where the tasks go, and the capacity provider of each; empty names without a strategy."""
    group, constraints = launch.placement.group, launch.placement.constraints
    candidates = candidates_of(context.read, launch.cluster, group, with_groups=constraints.asks_for_groups)
    if not candidates:
        raise InvalidParameterException(NO_INSTANCES)
    source = random.Random(context.ids.hex32())
    if not launch.strategy:
        plan = place(launch.placement, candidates, source)
        return plan, [""] * len(plan.placements)
    names = distribute(launch.strategy, {}, launch.placement.count)
    plan, providers = place_for_providers(launch.placement, names, candidates, source)
    if not plan.placements and not plan.refusals:
        raise InvalidParameterException(NO_INSTANCES_OF_PROVIDER)
    return plan, providers
