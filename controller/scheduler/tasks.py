"""New tasks, before and after they have a place."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from controller.scheduler.demand import Demand
from controller.state.entities import Document, Tag, Task, TaskContainer, TaskDefinition


def new_task(
    definition: TaskDefinition,
    *,
    cluster: str,
    task_id: str,
    container_ids: Sequence[str],
    group: str,
    started_by: str,
    launch_type: str,
    service: str | None,
    deployment: str | None,
    overrides: Document | None,
    options: Document,
    log_mode: str,
    tags: tuple[Tag, ...],
    now: float,
    epoch: int,
) -> Task:
    """A task of a definition that has no place yet.

    `container_ids` are the last segments of its containers' ARNs, one for each container of the definition
    and in its order; `now` is wall time and `epoch` the store's running epoch.

    Raises:
        ValueError: there are more or fewer `container_ids` than containers.
    """
    containers = definition.document["containerDefinitions"]
    return Task(
        cluster=cluster,
        id=task_id,
        family=definition.family,
        revision=definition.revision,
        group=group,
        started_by=started_by,
        launch_type=launch_type,
        service=service,
        deployment=deployment,
        containers=tuple(
            TaskContainer(name=container["name"], id=container_id)
            for container, container_id in zip(containers, container_ids, strict=True)
        ),
        created_epoch=epoch,
        created_at=now,
        options={**options, "overrides": overrides} if overrides else options,
        log_mode=log_mode,
        tags=tags,
    )


def placed(task: Task, instance_id: str, demand: Demand, gpu_ids: tuple[str, ...] = ()) -> Task:
    """The task on an instance, holding there what it demands. `gpu_ids` come from `candidates.gpus_for`."""
    return replace(
        task,
        instance=instance_id,
        cpu=demand.cpu,
        memory=demand.memory,
        ports_tcp=demand.ports_tcp,
        ports_udp=demand.ports_udp,
        gpu_ids=gpu_ids,
    )
