"""All rules, in the order in which they are checked."""

from __future__ import annotations

from controller.api.errors import ClientException
from controller.api.task_definition_rules.compatibility import check_required_compatibilities
from controller.api.task_definition_rules.containers import CONTAINER_CHECKS
from controller.api.task_definition_rules.dependencies import check_dependencies, check_firelens, check_links
from controller.api.task_definition_rules.ports import check_ports
from controller.api.task_definition_rules.task import (
    check_container_list,
    check_document_size,
    check_ephemeral_storage,
    check_family,
    check_placement_constraints,
    check_proxy,
    check_system_controls,
    check_task_cpu,
    check_task_memory,
)
from controller.api.task_definition_rules.volumes import check_mount_points, check_volumes
from controller.state.entities import Document

_TASK_CHECKS = (
    check_required_compatibilities,
    check_task_cpu,
    check_task_memory,
    check_ports,
    check_links,
    check_volumes,
    check_mount_points,
    check_dependencies,
    check_firelens,
    check_system_controls,
    check_placement_constraints,
    check_ephemeral_storage,
    check_proxy,
)


def check_definition(document: Document) -> None:
    """Check a normalised document against every rule of RegisterTaskDefinition.

    Raises:
        ClientException: the first rule that it breaks.
    """
    check_family(document)
    check_document_size(document)
    check_container_list(document)
    for container in document["containerDefinitions"]:
        for check_container in CONTAINER_CHECKS:
            check_container(container)
        _check_memory_given(document, container)
    for check_task in _TASK_CHECKS:
        check_task(document)


def _check_memory_given(document: Document, container: Document) -> None:
    if "memory" not in document and "memory" not in container and "memoryReservation" not in container:
        raise ClientException(
            f"Invalid setting for container '{container['name']}'. At least one of 'memory' or "
            "'memoryReservation' must be specified."
        )
