"""What services, deployments and task sets show alike: how many tasks they have, and what these run on."""

from __future__ import annotations

from collections.abc import Sequence

from controller.api.render.task import platform_version
from controller.state.entities import Document, Task
from controller.state.lifecycle import is_running


class TaskCounts:
    """Tasks of a service, deployment or task set by what they are doing."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        starting = [task for task in tasks if task.desired_status == "RUNNING" and task.disposition == "NONE"]
        self.running = sum(is_running(task) for task in starting)
        self.pending = len(starting) - self.running

    @property
    def total(self) -> int:
        """Tasks that are meant to stay, RUNNING or on their way there."""
        return self.running + self.pending


def capacity_members(launch_type: str, settings: Document) -> Document:
    """What tasks run on: a capacity provider strategy, or else a launch type."""
    strategy = settings.get("capacityProviderStrategy")
    return {"capacityProviderStrategy": strategy} if strategy else {"launchType": launch_type}


def platform_members(launch_type: str, settings: Document) -> Document:
    """The platform of FARGATE tasks; other launch types have none."""
    if launch_type != "FARGATE":
        return {}
    return {"platformVersion": platform_version(settings), "platformFamily": "Linux"}
