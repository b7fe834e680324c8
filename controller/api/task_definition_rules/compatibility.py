"""Which launch types a task definition is valid for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from controller.api.errors import ClientException
from controller.api.task_definition_rules.fargate import fargate_problems
from controller.state.entities import Document

_MANAGED_INSTANCE_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens", "json-file")


def _no_problems(_document: Document) -> Iterator[str]:
    return iter(())


def _external_problems(document: Document) -> Iterator[str]:
    if document.get("networkMode") == "awsvpc":
        yield "External instances do not support network mode 'awsvpc'."
    for volume in document["volumes"]:
        if "efsVolumeConfiguration" in volume:
            yield "External instances do not support efsVolumeConfiguration."
    if document.get("inferenceAccelerators"):
        yield "External instances do not support inferenceAccelerators."
    if "proxyConfiguration" in document:
        yield "External instances do not support proxyConfiguration."


def _managed_instance_problems(document: Document) -> Iterator[str]:
    if document.get("networkMode") not in ("awsvpc", "host"):
        yield "Managed instances support the network modes 'awsvpc' and 'host'."
    for member in ("cpu", "memory"):
        if member not in document:
            yield f"Managed instances require that '{member}' be defined at the task level."
    if document["placementConstraints"]:
        yield "Managed instances do not support placementConstraints."
    for container in document["containerDefinitions"]:
        driver = container.get("logConfiguration", {}).get("logDriver", "awslogs")
        if driver not in _MANAGED_INSTANCE_LOG_DRIVERS:
            yield f"Managed instances do not support the log driver {driver}."


PROBLEMS: dict[str, Callable[[Document], Iterator[str]]] = {
    "EXTERNAL": _external_problems,
    "EC2": _no_problems,
    "FARGATE": fargate_problems,
    "MANAGED_INSTANCES": _managed_instance_problems,
}
"""What keeps a definition from a launch type."""


def compatibilities(document: Document) -> tuple[str, ...]:
    """The launch types that a normalised document is valid for."""
    return tuple(
        compatibility
        for compatibility, problems in PROBLEMS.items()
        if next(problems(document), None) is None
    )


def check_required_compatibilities(document: Document) -> None:
    """The document is valid for every launch type that it asks to be valid for."""
    for compatibility in document.get("requiresCompatibilities", ()):
        problem = next(PROBLEMS[compatibility](document), None)
        if problem is not None:
            raise ClientException(problem)
