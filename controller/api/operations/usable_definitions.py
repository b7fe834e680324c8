"""Which task definitions can be used here.

Some ask for what only AWS's own hosts have, or for more than a Fargate platform version has.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.api.errors import ClientException, PlatformTaskDefinitionIncompatibilityException
from controller.state.entities import Document, TaskDefinition

_OF_TASKS = {
    "proxyConfiguration": "AWS App Mesh is not here: let containers talk to each other directly",
    "inferenceAccelerators": "hosts have no Elastic Inference: use resourceRequirements of type GPU",
    "trustedExecutionConfiguration": "hosts isolate no tasks in this way: leave it out",
}
_OF_VOLUMES = {
    "fsxWindowsFileServerVolumeConfiguration": "use a docker volume or a host path",
    "s3filesVolumeConfiguration": "use a docker volume or a host path",
    "configuredAtLaunch": "no EBS volumes are made here: use a docker volume or a host path",
}
"""Members that are kept and shown, and keep a revision from being used; and what to do instead."""

_LATEST = (1, 4, 0)


def check_features(definition: TaskDefinition) -> None:
    """A task definition asks for nothing that only AWS's own hosts have.

    Raises:
        ClientException: it does.
    """
    for member, instead in _OF_TASKS.items():
        if definition.document.get(member):
            raise _unusable(definition, member, instead)
    for volume in definition.document["volumes"]:
        for member, instead in _OF_VOLUMES.items():
            if volume.get(member):
                raise _unusable(definition, f"{member} of volume {volume['name']}", instead)


def check_platform(definition: TaskDefinition, version: str) -> None:
    """A Fargate platform version, which exists, has what a task definition needs.

    Raises:
        PlatformTaskDefinitionIncompatibilityException: it has not.
    """
    present = _LATEST if version == "LATEST" else tuple(int(part) for part in version.split("."))
    for feature, since in _platform_needs(definition.document):
        if present < since:
            raise PlatformTaskDefinitionIncompatibilityException(
                f"One or more of the requested capabilities are not supported: {feature} needs platform "
                f"version {'.'.join(map(str, since))} or later."
            )


def _platform_needs(document: Document) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What a task definition uses that not every platform version has, and the first that has it."""
    if "ephemeralStorage" in document:
        yield "ephemeralStorage", _LATEST
    if document.get("pidMode"):
        yield "pidMode", _LATEST
    if any("efsVolumeConfiguration" in volume for volume in document["volumes"]):
        yield "efsVolumeConfiguration", _LATEST
    for container in document["containerDefinitions"]:
        if container.get("environmentFiles"):
            yield "environmentFiles", _LATEST
        if container.get("linuxParameters", {}).get("capabilities", {}).get("add"):
            yield "linuxParameters.capabilities.add", _LATEST
        if container.get("secrets"):
            yield "secrets", (1, 3, 0)
        if container.get("dependsOn"):
            yield "dependsOn", (1, 3, 0)


def _unusable(definition: TaskDefinition, member: str, instead: str) -> ClientException:
    return ClientException(
        f"Task definition {definition.key} cannot be used on this controller: {member}: {instead}."
    )
