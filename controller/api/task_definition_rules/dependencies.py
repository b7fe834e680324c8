"""Rules about containers that refer to each other: dependsOn, links, volumesFrom, FireLens."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from controller.api.errors import ClientException
from controller.state.entities import Document

_MODES_WITHOUT_LINKS = ("awsvpc", "host", "none")


def check_dependencies(document: Document) -> None:
    """Every container that another one names exists, conditions can be met, and nobody waits for itself."""
    containers = {container["name"]: container for container in document["containerDefinitions"]}
    for container in containers.values():
        for member, target in _references(container):
            if target == container["name"]:
                raise ClientException(f"Container '{target}' refers to itself in its {member}.")
            if target not in containers:
                raise ClientException(
                    f"Invalid {member} for container '{container['name']}': the container '{target}' does "
                    "not exist."
                )
        for dependency in container.get("dependsOn", ()):
            _check_condition(container["name"], dependency, containers[dependency["containerName"]])
    _check_cycles(containers)


def _references(container: Document) -> Iterator[tuple[str, str]]:
    for dependency in container.get("dependsOn", ()):
        yield "dependsOn", dependency["containerName"]
    for link in container.get("links", ()):
        yield "links", link.partition(":")[0]
    for source in container["volumesFrom"]:
        yield "volumesFrom", source.get("sourceContainer", "")


def _check_condition(dependant: str, dependency: Document, target: Document) -> None:
    condition = dependency["condition"]
    if condition in ("COMPLETE", "SUCCESS") and target["essential"]:
        raise ClientException(
            f"Invalid dependsOn for container '{dependant}': the condition {condition} cannot be set on "
            f"the essential container '{target['name']}'."
        )
    if condition == "HEALTHY" and "healthCheck" not in target:
        raise ClientException(
            f"Invalid dependsOn for container '{dependant}': the condition HEALTHY requires that the "
            f"container '{target['name']}' has a health check."
        )


def _check_cycles(containers: dict[str, Document]) -> None:
    graph = {name: [target for _, target in _references(container)] for name, container in containers.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ClientException(f"The containers depend on each other in a circle: {circle}.") from error


def check_links(document: Document) -> None:
    """Links, host names and extra hosts only where the network mode has them."""
    network_mode = document.get("networkMode", "bridge")
    for container in document["containerDefinitions"]:
        if container.get("links") and network_mode in _MODES_WITHOUT_LINKS:
            raise ClientException(
                f"Links are not supported when networkMode={network_mode}, but container "
                f"'{container['name']}' has some."
            )
        for member in ("hostname", "extraHosts"):
            if container.get(member) and network_mode == "awsvpc":
                raise ClientException(
                    f"'{member}' is not supported when networkMode=awsvpc, but container "
                    f"'{container['name']}' has it."
                )


def check_firelens(document: Document) -> None:
    """One log router a task at most, and one where containers log through it."""
    containers = document["containerDefinitions"]
    routers = [container["name"] for container in containers if "firelensConfiguration" in container]
    if len(routers) > 1:
        raise ClientException(
            f"At most one container may have a firelensConfiguration, but these do: {', '.join(routers)}."
        )
    users = [
        container["name"]
        for container in containers
        if container.get("logConfiguration", {}).get("logDriver") == "awsfirelens"
    ]
    if users and not routers:
        raise ClientException(
            "When a firelensConfiguration object is not specified, the logDriver awsfirelens cannot be "
            f"used: container '{users[0]}' uses it."
        )
