"""RunTask: place what can be placed, at once or not at all, and say why for the rest."""

from __future__ import annotations

import random

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import resolve_cluster
from controller.api.operations.tasks.launch import Launch, launch_of
from controller.api.operations.tasks.tokens import answer_again, earlier_call, token_of
from controller.api.render.task import render_task
from controller.scheduler.candidates import candidates_of, gpus_for
from controller.scheduler.explain import NO_INSTANCES
from controller.scheduler.placement import Plan, place
from controller.scheduler.tasks import new_task, placed
from controller.state.entities import ContainerInstance, Document, Task, instance_key
from controller.state.kernel import Transaction


async def run_task(context: RequestContext, request: Document) -> Document:
    """Start up to ten tasks. A repeated client token answers with the tasks of the first call.

    Nothing is awaited between looking for places and taking them.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    earlier = earlier_call(context, cluster.name, request)
    if earlier is not None:
        return await answer_again(context, earlier)
    launch = launch_of(context, cluster, request)
    plan = _plan(context, launch)
    failures = _failures(context, launch, plan)
    with context.transaction() as transaction:
        tasks = [_start(context, transaction, launch, instance_id) for instance_id in plan.placements]
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


def _plan(context: RequestContext, launch: Launch) -> Plan:
    group, constraints = launch.placement.group, launch.placement.constraints
    candidates = candidates_of(context.read, launch.cluster, group, with_groups=constraints.asks_for_groups)
    if not candidates:
        raise InvalidParameterException(NO_INSTANCES)
    return place(launch.placement, candidates, random.Random(context.ids.hex32()))


def _failures(context: RequestContext, launch: Launch, plan: Plan) -> list[Document]:
    return [
        {
            "arn": context.read.names.instance_id(launch.cluster, refusal.instance_id),
            "reason": refusal.reason,
            "detail": refusal.detail,
        }
        for refusal in plan.refusals
    ]


def _start(context: RequestContext, transaction: Transaction, launch: Launch, instance_id: str) -> Task:
    """Put one task onto an instance, as the plan says."""
    instance = transaction.get(ContainerInstance, instance_key(launch.cluster, instance_id))
    assert instance is not None, "a plan names instances that were candidates in this very transaction"
    demand = launch.placement.demand
    containers = launch.definition.document["containerDefinitions"]
    task = new_task(
        launch.definition,
        cluster=launch.cluster,
        task_id=context.ids.hex32(),
        container_ids=[context.ids.uuid() for _ in containers],
        group=launch.placement.group,
        started_by=launch.started_by,
        launch_type=launch.launch_type,
        service=None,
        deployment=None,
        overrides=launch.overrides,
        options=launch.options,
        tags=launch.tags,
        now=transaction.now,
        epoch=transaction.meta.epoch,
    )
    task = placed(task, instance_id, demand, gpus_for(transaction, instance, demand))
    transaction.put(task, f"started by RunTask on container instance {instance_id}")
    return task
