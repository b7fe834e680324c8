"""When a task definition revision that is to be deleted may go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from controller.state.entities import Deployment, Service, TaskDefinition, service_key
from controller.state.indexes import (
    DEFINITIONS_TO_DELETE,
    DEPLOYMENTS_OF_DEFINITION,
    LIVE_TASKS_OF_DEFINITION,
    TASK_SETS_OF_DEFINITION,
)

if TYPE_CHECKING:
    from controller.state.kernel import Reader


def unused_definitions(read: Reader) -> list[TaskDefinition]:
    """DELETE_IN_PROGRESS revisions that no task and no service refers to any more.

    A task that has ended keeps its revision's number, which is never used again, and needs no more of it. A
    deleted service starts nothing again.
    """
    return [
        definition
        for definition in read.select(DEFINITIONS_TO_DELETE, True).values()
        if not read.select(LIVE_TASKS_OF_DEFINITION, definition.key)
        and not read.select(TASK_SETS_OF_DEFINITION, definition.key)
        and not _is_deployed(read, read.select(DEPLOYMENTS_OF_DEFINITION, definition.key).values())
    ]


def _is_deployed(read: Reader, deployments: Iterable[Deployment]) -> bool:
    for deployment in deployments:
        service = read.get(Service, service_key(deployment.cluster, deployment.service))
        if service is not None and service.status != "INACTIVE":
            return True
    return False
