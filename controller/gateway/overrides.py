"""A task definition's containers as one task has them: with what RunTask overrode.

command, cpu and the memory members replace; the environment is merged by name; so do environment files and
resource requirements replace as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.state.entities import Document, Task

REPLACED = ("command", "cpu", "memory", "memoryReservation", "environmentFiles", "resourceRequirements")


def overridden_containers(document: Document, task: Task) -> Sequence[Document]:
    """The container definitions of a task definition's document, with the task's overrides in them."""
    overrides = {
        override["name"]: override
        for override in _overrides(task).get("containerOverrides", ())
        if override.get("name")
    }
    if not overrides:
        containers: list[Document] = document["containerDefinitions"]
        return containers
    return [
        _overridden(container, overrides[container["name"]]) if container["name"] in overrides else container
        for container in document["containerDefinitions"]
    ]


def with_log_mode(container: Document, mode: str) -> Document:
    """The container definition with a mode for its log driver, unless it names one or has no driver.

    FireLens takes the options of its log driver for those of its output, which has no mode.
    """
    log = container.get("logConfiguration")
    if not mode or not log or log["logDriver"] == "awsfirelens" or "mode" in log.get("options", {}):
        return container
    return {**container, "logConfiguration": {**log, "options": {**log.get("options", {}), "mode": mode}}}


def overridden_size(document: Document, task: Task, member: str) -> int | None:
    """Task-level `cpu` (units) or `memory` (MiB), with the task's overrides; None where the task has none of
    its own."""
    size = _overrides(task).get(member, document.get(member))
    return None if size is None else int(size)


def has_overrides(task: Task) -> bool:
    """Whether the task differs from its task definition at all."""
    return bool(_overrides(task))


def _overrides(task: Task) -> Document:
    overrides: Document = task.options.get("overrides", {})
    return overrides


def _overridden(container: Document, override: Document) -> Document:
    merged = container | {member: override[member] for member in REPLACED if override.get(member)}
    if override.get("environment"):
        names = {variable["name"] for variable in override["environment"]}
        kept = [variable for variable in container.get("environment", ()) if variable["name"] not in names]
        merged["environment"] = [*kept, *override["environment"]]
    return merged
