"""RunTask's overrides: checked, and in the form in which a task keeps them."""

from __future__ import annotations

from collections import Counter

import msgspec

from controller.api.errors import InvalidParameterException
from controller.api.task_definition_rules.containers import check_resource_requirements, check_sizes
from controller.api.task_definition_rules.fargate import fargate_problems
from controller.api.task_definition_rules.sizes import cpu_units, memory_mib
from controller.api.task_definition_rules.task import check_task_cpu, check_task_memory
from controller.state.entities import Document, TaskDefinition

MAX_OVERRIDES_LENGTH = 8192
"""Characters of the overrides as JSON."""


def overrides_of(definition: TaskDefinition, given: Document | None, launch_type: str) -> Document:
    """Overrides with task-level sizes as whole numbers; empty when nothing is overridden.

    Clients send empty texts and lists and zeros for what they do not override: these are left out.

    Raises:
        ClientException: sizes that break a task definition's rules.
        InvalidParameterException: too long, a container that is not in the definition, or sizes that Fargate
            does not have.
    """
    if not given:
        return {}
    length = len(msgspec.json.encode(given).decode())
    if length > MAX_OVERRIDES_LENGTH:
        raise InvalidParameterException(
            f"Overrides should be at most {MAX_OVERRIDES_LENGTH} characters long, but have {length}."
        )
    _check_containers(definition, given)
    overrides = _meant(given)
    if "containerOverrides" in overrides:
        overrides["containerOverrides"] = [_meant(item) for item in overrides["containerOverrides"]]
    if "cpu" in overrides:
        overrides["cpu"] = str(cpu_units(overrides["cpu"]))
    if "memory" in overrides:
        overrides["memory"] = str(memory_mib(overrides["memory"]))
    _check_sizes(_effective(definition.document, overrides), launch_type)
    return overrides


def _meant(members: Document) -> Document:
    return {name: value for name, value in members.items() if value not in ("", 0, [])}


def _check_containers(definition: TaskDefinition, overrides: Document) -> None:
    known = {container["name"] for container in definition.document["containerDefinitions"]}
    names = Counter(override.get("name", "") for override in overrides.get("containerOverrides", ()))
    for name, count in names.items():
        if name not in known:
            raise InvalidParameterException(
                f"Override for container named {name} is not a container in the TaskDefinition."
            )
        if count > 1:
            raise InvalidParameterException(f"The container {name} is overridden {count} times.")
    for override in overrides.get("containerOverrides", ()):
        if any(not variable.get("name") for variable in override.get("environment", ())):
            raise InvalidParameterException(
                f"Override for container named {override['name']} has an environment variable without a name."
            )


def _effective(document: Document, overrides: Document) -> Document:
    """The document as far as sizes go, with the overrides in it."""
    changed = {override["name"]: override for override in overrides.get("containerOverrides", ())}
    return {
        **document,
        **{member: overrides[member] for member in ("cpu", "memory") if member in overrides},
        "containerDefinitions": [
            {**container, **changed.get(container["name"], {})}
            for container in document["containerDefinitions"]
        ],
    }


def _check_sizes(effective: Document, launch_type: str) -> None:
    for container in effective["containerDefinitions"]:
        check_sizes(container)
        check_resource_requirements(container)
    check_task_cpu(effective)
    check_task_memory(effective)
    if launch_type == "FARGATE":
        problem = next(fargate_problems(effective), None)
        if problem is not None:
            raise InvalidParameterException(problem)
