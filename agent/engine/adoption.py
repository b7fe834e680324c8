"""Tasks found again by the labels of their containers, after the checkpoint was lost.

What labels cannot tell (volumes, dependencies, timeouts) is lost; the tasks keep running, hold their share of
the host, are reported and can be stopped.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from agent.checkpoint import StoredTask
from agent.engine.container_body import (
    CLUSTER_LABEL,
    CONTAINER_NAME_LABEL,
    ESSENTIAL_LABEL,
    FAMILY_LABEL,
    METADATA_ID_LABEL,
    TASK_ARN_LABEL,
    VERSION_LABEL,
)
from agent.engine.namespaces import PAUSE_NAME
from agent.engine.records import ContainerInspection
from agent.engine.share_labels import read_share
from agent.engine.states import ContainerPlan, Dependency, TaskPlan
from agent.engine.transitions import initial_state
from agent.protocol.arn import Arn, cluster_arn


def adopt(found: Iterable[ContainerInspection], stop_timeout: float) -> tuple[StoredTask, ...]:
    """Make tasks of containers that carry this agent's labels; their state is that of new ones until
    looked at.
    """
    by_task: dict[str, list[ContainerInspection]] = {}
    for container in found:
        by_task.setdefault(container.labels.get(TASK_ARN_LABEL, ""), []).append(container)
    return tuple(_adopt(arn, members, stop_timeout) for arn, members in by_task.items() if arn)


def _name(container: ContainerInspection) -> str:
    return container.labels.get(CONTAINER_NAME_LABEL, container.name)


def _after_pause(container: ContainerInspection, *, has_pause: bool) -> tuple[Dependency, ...]:
    needed = has_pause and _name(container) != PAUSE_NAME
    return (Dependency(PAUSE_NAME, "START"),) if needed else ()


def _adopt(task_arn: str, members: list[ContainerInspection], stop_timeout: float) -> StoredTask:
    has_pause = any(_name(member) == PAUSE_NAME for member in members)
    plans = tuple(
        ContainerPlan(
            name=_name(member),
            docker_name=member.name,
            essential=member.labels.get(ESSENTIAL_LABEL) != "false",
            stop_timeout=stop_timeout,
            metadata_id=member.labels.get(METADATA_ID_LABEL, ""),
            depends_on=_after_pause(member, has_pause=has_pause),
            internal=_name(member) == PAUSE_NAME,
        )
        for member in members
    )
    labels = members[0].labels
    arn = Arn.parse(task_arn)
    shares = [read_share(member.labels) for member in members]
    definition = replace(
        shares[0][0],
        arn=task_arn,
        task_cluster_arn=cluster_arn(arn.region, arn.account, labels.get(CLUSTER_LABEL, "")),
        family=labels.get(FAMILY_LABEL),
        version=labels.get(VERSION_LABEL),
        desired_status="RUNNING",
        associations=tuple(association for task, _ in shares for association in task.associations),
        containers=tuple(
            replace(share, name=plan.name, image=member.image, essential=plan.essential)
            for plan, member, (_, share) in zip(plans, members, shares, strict=True)
        ),
    )
    plan = TaskPlan(arn=task_arn, containers=plans)
    return StoredTask(definition, plan, initial_state(plan))
