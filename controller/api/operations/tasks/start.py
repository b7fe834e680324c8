"""StartTask: tasks on instances that the caller chose, past every strategy and constraint."""

from __future__ import annotations

import random

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import instance_id, missing, resolve_cluster
from controller.api.operations.launch_rules import DEFAULT_LAUNCH_TYPE, Capacity
from controller.api.operations.tasks.launch import Launch, launch_of
from controller.api.operations.tasks.starting import failures_of, start
from controller.api.render.task import render_task
from controller.scheduler.candidates import candidate_of
from controller.scheduler.constraints import UNCONSTRAINED
from controller.scheduler.placement import place
from controller.state.entities import ContainerInstance, Document, instance_key
from controller.state.kernel import Transaction

MAX_INSTANCES = 10
MAX_STARTED_BY_LENGTH = 36


def start_task(context: RequestContext, request: Document) -> Document:
    """Start one task on each instance that is named, each named once.

    Resources, ports, attributes and the agent's connection are checked; an instance that fails the check is a
    failure, and the others get their tasks all the same.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    names = request["containerInstances"]
    if not names:
        raise InvalidParameterException("Container Instances cannot be empty.")
    if len(names) > MAX_INSTANCES:
        raise InvalidParameterException(f"Container Instances cannot exceed {MAX_INSTANCES} items.")
    if len(request.get("startedBy", "")) > MAX_STARTED_BY_LENGTH:
        raise InvalidParameterException(
            f"startedBy should be at most {MAX_STARTED_BY_LENGTH} characters long."
        )
    instances = list(dict.fromkeys(instance_id(context, cluster, name) for name in names))
    launch = _launch(launch_of(context, cluster, request, Capacity(DEFAULT_LAUNCH_TYPE), count=1))
    tasks: list[Document] = []
    failures: list[Document] = []
    with context.transaction() as transaction:
        for instance in instances:
            started, refused = _start(context, transaction, launch, instance)
            tasks += started
            failures += refused
    return {"tasks": tasks, "failures": failures}


def _launch(launch: Launch) -> Launch:
    return replace(launch, placement=replace(launch.placement, constraints=UNCONSTRAINED, strategies=()))


def _start(
    context: RequestContext, transaction: Transaction, launch: Launch, instance_id: str
) -> tuple[list[Document], list[Document]]:
    """The task on one instance, or the failure."""
    arn = context.read.names.instance_id(launch.cluster, instance_id)
    instance = transaction.get(ContainerInstance, instance_key(launch.cluster, instance_id))
    if instance is None:
        return [], [missing(arn)]
    candidate = candidate_of(transaction, instance)
    plan = place(launch.placement, [candidate], random.Random(context.ids.hex32()))
    if not plan.placements:
        return [], failures_of(context, launch, plan)
    task = start(context, transaction, launch, instance_id, "StartTask")
    return [render_task(task, context.read, with_tags=True)], []
