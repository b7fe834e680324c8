"""Rules about the task as a whole: family, sizes, modes, placement constraints, the document's length."""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from controller.api.errors import ClientException
from controller.scheduler.query import QuerySyntaxError, parse
from controller.state.entities import Document

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_CONTAINERS = 10
MAX_PLACEMENT_CONSTRAINTS = 10
SMALLEST_TASK_CPU = 128
LARGEST_TASK_CPU = 196_608
EPHEMERAL_STORAGE_GIB = range(21, 201)

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Names of families, containers and volumes."""

_IPC_NAMESPACED = re.compile(
    r"kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+"
)


def check_family(document: Document) -> None:
    """1 to 255 letters, digits, hyphens and underscores."""
    if not document["family"]:
        raise ClientException("Family should not be null or empty.")
    if not NAME.fullmatch(document["family"]):
        raise ClientException(
            "Family contains invalid characters. It takes up to 255 letters (uppercase and lowercase), "
            "numbers, hyphens, and underscores."
        )


def check_document_size(document: Document) -> None:
    """ECS keeps at most 64 KiB a task definition."""
    size = len(msgspec.json.encode(document))
    if size > MAX_DOCUMENT_BYTES:
        raise ClientException(
            f"Actual length: '{size}'. Max allowed length is '{MAX_DOCUMENT_BYTES}' bytes: the task "
            "definition exceeded maximum size."
        )


def check_container_list(document: Document) -> None:
    """One to ten containers with names of their own, at least one of them essential."""
    containers = document["containerDefinitions"]
    if not containers:
        raise ClientException("Container list cannot be empty.")
    if len(containers) > MAX_CONTAINERS:
        raise ClientException(
            f"A task definition holds at most {MAX_CONTAINERS} containers, but {len(containers)} were given."
        )
    for name, count in Counter(container.get("name") for container in containers).items():
        if name and count > 1:
            raise ClientException(
                f"Container names must be unique within a task definition: '{name}' is used {count} times."
            )
    if not any(container["essential"] for container in containers):
        raise ClientException("Invalid setting for containers. At least one essential container is required.")


def check_task_cpu(document: Document) -> None:
    """Between 0.125 and 192 vCPUs, and no less than the containers' sum."""
    if "cpu" not in document:
        return
    task_cpu = int(document["cpu"])
    if not SMALLEST_TASK_CPU <= task_cpu <= LARGEST_TASK_CPU:
        raise ClientException(
            f"Invalid 'cpu' setting for task. {task_cpu} is not between {SMALLEST_TASK_CPU} CPU units "
            f"(0.125 vCPUs) and {LARGEST_TASK_CPU} CPU units (192 vCPUs)."
        )
    total = sum(container["cpu"] for container in document["containerDefinitions"])
    if total > task_cpu:
        raise ClientException(
            f"Invalid 'cpu' setting for task. The containers ask for {total} CPU units in total, the task "
            f"has {task_cpu}."
        )


def check_task_memory(document: Document) -> None:
    """No container, and no sum of what containers reserve, beyond the task's memory."""
    if "memory" not in document:
        return
    task_memory = int(document["memory"])
    for container in document["containerDefinitions"]:
        for member in ("memory", "memoryReservation"):
            if container.get(member, 0) > task_memory:
                raise ClientException(
                    f"Invalid '{member}' setting for container '{container['name']}'. {container[member]} "
                    f"MiB exceed the task's {task_memory} MiB."
                )
    total = sum(
        container.get("memoryReservation") or container.get("memory") or 0
        for container in document["containerDefinitions"]
    )
    if total > task_memory:
        raise ClientException(
            f"Invalid 'memory' setting for task. The containers ask for {total} MiB in total, the task has "
            f"{task_memory} MiB."
        )


def check_placement_constraints(document: Document) -> None:
    """At most ten, of type memberOf, each a valid cluster query."""
    constraints = document["placementConstraints"]
    if len(constraints) > MAX_PLACEMENT_CONSTRAINTS:
        raise ClientException(
            f"A task definition holds at most {MAX_PLACEMENT_CONSTRAINTS} placement constraints."
        )
    for constraint in constraints:
        if constraint.get("type") != "memberOf":
            raise ClientException("Invalid placement constraint. The type should be memberOf.")
        try:
            parse(constraint.get("expression", ""))
        except QuerySyntaxError as error:
            raise ClientException(f"Invalid placement constraint expression: {error}") from error


def check_ephemeral_storage(document: Document) -> None:
    """21 to 200 GiB."""
    storage = document.get("ephemeralStorage")
    if storage is not None and storage["sizeInGiB"] not in EPHEMERAL_STORAGE_GIB:
        raise ClientException("Ephemeral storage sizeInGiB should be between 21 and 200.")


def check_proxy(document: Document) -> None:
    """A proxy configuration names one of the task's containers."""
    proxy = document.get("proxyConfiguration")
    names = {container["name"] for container in document["containerDefinitions"]}
    if proxy is not None and proxy["containerName"] not in names:
        raise ClientException(
            f"The proxyConfiguration names the container '{proxy['containerName']}', which does not exist."
        )


def check_system_controls(document: Document) -> None:
    """Kernel parameters that belong to a namespace which the containers have for themselves."""
    for container in document["containerDefinitions"]:
        for control in container["systemControls"]:
            _check_system_control(document, container["name"], control.get("namespace", ""))


def _check_system_control(document: Document, container: str, parameter: str) -> None:
    if parameter.startswith("net."):
        if document.get("networkMode") == "host":
            raise ClientException(
                f"Invalid system control '{parameter}' for container '{container}'. Network parameters are "
                "not supported when networkMode=host."
            )
    elif _IPC_NAMESPACED.fullmatch(parameter):
        if document.get("ipcMode") == "host":
            raise ClientException(
                f"Invalid system control '{parameter}' for container '{container}'. IPC parameters are not "
                "supported when ipcMode=host."
            )
    else:
        raise ClientException(
            f"Invalid system control '{parameter}' for container '{container}'. It is not a namespaced "
            "kernel parameter."
        )
