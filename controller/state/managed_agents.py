"""What ECS's own agents inside of containers, such as the one for ExecuteCommand, are doing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from controller.state.entities import ManagedAgent, TaskContainer


class ManagedAgentReport(msgspec.Struct, frozen=True):
    """What a container instance's agent says about one of them. It may start again after it has stopped."""

    container: str
    name: str
    status: str
    reason: str = ""


def with_managed_agents(
    containers: tuple[TaskContainer, ...], reports: Sequence[ManagedAgentReport], now: float
) -> tuple[TaskContainer, ...]:
    """The containers after reports; the newest word on each managed agent holds."""
    if not reports:
        return containers
    return tuple(
        _after(container, [report for report in reports if report.container == container.name], now)
        for container in containers
    )


def _after(container: TaskContainer, reports: Sequence[ManagedAgentReport], now: float) -> TaskContainer:
    agents = {agent.name: agent for agent in container.managed_agents}
    for report in reports:
        before = agents.get(report.name, ManagedAgent(name=report.name))
        starts = report.status == "RUNNING" and before.last_status != "RUNNING"
        agents[report.name] = replace(
            before,
            last_status=report.status,
            reason=report.reason,
            last_started_at=now if starts else before.last_started_at,
        )
    return replace(container, managed_agents=tuple(agents.values()))
