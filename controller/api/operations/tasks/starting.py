"""From a plan to tasks and failures."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.operations.tasks.launch import Launch
from controller.scheduler.candidates import gpus_for
from controller.scheduler.placement import Plan
from controller.scheduler.tasks import new_task, placed
from controller.services.log_mode import default_log_mode
from controller.state.entities import ContainerInstance, Document, Task, instance_key
from controller.state.kernel import Transaction


def start(
    context: RequestContext,
    transaction: Transaction,
    launch: Launch,
    instance_id: str,
    operation: str,
    provider: str = "",
) -> Task:
    """Put one task onto an instance, as a plan made in this very moment says; `provider` is the capacity
    provider that it is for."""
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
        options={**launch.options, "capacityProviderName": provider} if provider else launch.options,
        log_mode=default_log_mode(transaction, context.caller.arn),
        tags=launch.tags,
        now=transaction.now,
        epoch=transaction.meta.epoch,
    )
    task = placed(task, instance_id, demand, gpus_for(transaction, instance, demand))
    transaction.put(task, f"started by {operation} on container instance {instance_id}")
    return task


def failures_of(context: RequestContext, launch: Launch, plan: Plan) -> list[Document]:
    """The `failures` of a plan: each instance that had no room, and why."""
    return [
        {
            "arn": context.read.names.instance_id(launch.cluster, refusal.instance_id),
            "reason": refusal.reason,
            "detail": refusal.detail,
        }
        for refusal in plan.refusals
    ]
