"""What a task definition must keep to where FARGATE is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from controller.state.entities import Document

MEMORY_OF_CPU: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16_384 + 1, 1024)),
    4096: tuple(range(8192, 30_720 + 1, 1024)),
    8192: tuple(range(16_384, 61_440 + 1, 4096)),
    16_384: tuple(range(32_768, 122_880 + 1, 8192)),
}
"""Memory sizes (MiB) that go with each number of CPU units."""

LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
START_TIMEOUT_S = range(2, 121)
MAX_STOP_TIMEOUT_S = 120


def fargate_problems(document: Document) -> Iterator[str]:
    """What keeps a normalised task definition from running on Fargate, in ECS's words."""
    if document.get("networkMode") != "awsvpc":
        yield "Fargate only supports network mode ‘awsvpc’."
    yield from _size_problems(document)
    if document.get("pidMode") == "host":
        yield (
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for "
            "pidMode is 'task'."
        )
    if "ipcMode" in document:
        yield "Fargate compatible task definitions do not support ipcMode."
    if document["placementConstraints"]:
        yield "Fargate compatible task definitions do not support placementConstraints."
    for volume in document["volumes"]:
        if "dockerVolumeConfiguration" in volume:
            yield "Fargate compatible task definitions do not support dockerVolumeConfiguration."
        if volume.get("host", {}).get("sourcePath"):
            yield "Fargate compatible task definitions do not support sourcePath."
    for container in document["containerDefinitions"]:
        yield from _container_problems(container)


def _size_problems(document: Document) -> Iterator[str]:
    for member in ("cpu", "memory"):
        if member not in document:
            yield f"Fargate requires that '{member}' be defined at the task level."
    if "cpu" in document and "memory" in document:
        cpu, memory = int(document["cpu"]), int(document["memory"])
        if memory not in MEMORY_OF_CPU.get(cpu, ()):
            yield (
                f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the "
                "Amazon ECS documentation for the valid values."
            )


def _container_problems(container: Document) -> Iterator[str]:
    for member in (
        "links",
        "privileged",
        "dockerSecurityOptions",
        "extraHosts",
        "hostname",
        "disableNetworking",
    ):
        if container.get(member):
            yield f"Fargate compatible task definitions do not support {member}."
    parameters = container.get("linuxParameters", {})
    for member in ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness"):
        if parameters.get(member):
            yield f"Fargate compatible task definitions do not support {member}."
    added = [
        capability
        for capability in parameters.get("capabilities", {}).get("add", ())
        if capability != "SYS_PTRACE"
    ]
    if added:
        yield f"Fargate compatible task definitions do not support adding the capability {added[0]}."
    if any(requirement["type"] == "GPU" for requirement in container.get("resourceRequirements", ())):
        yield "Fargate compatible task definitions do not support GPU resource requirements."
    driver = container.get("logConfiguration", {}).get("logDriver", LOG_DRIVERS[0])
    if driver not in LOG_DRIVERS:
        yield f"Fargate compatible task definitions do not support the log driver {driver}."
    if container.get("startTimeout", START_TIMEOUT_S.start) not in START_TIMEOUT_S:
        yield "Fargate compatible task definitions support a startTimeout between 2 and 120 seconds."
    if container.get("stopTimeout", 0) > MAX_STOP_TIMEOUT_S:
        yield "Fargate compatible task definitions support a stopTimeout of at most 120 seconds."
