"""Rules about volumes and their mount points."""

from __future__ import annotations

from controller.api.errors import ClientException
from controller.api.task_definition_rules.task import NAME
from controller.state.entities import Document

_KINDS_OF_VOLUME = (
    "host",
    "dockerVolumeConfiguration",
    "efsVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "s3filesVolumeConfiguration",
)


def check_volumes(document: Document) -> None:
    """Volumes have names of their own and are of one kind each; at most one is configured at launch."""
    names = set()
    for volume in document["volumes"]:
        name = volume.get("name", "")
        if not name:
            raise ClientException("Volume.name should not be null or empty.")
        if not NAME.fullmatch(name):
            raise ClientException(
                f"Invalid volume name '{name}'. Up to 255 letters (uppercase and lowercase), numbers, "
                "underscores, and hyphens are allowed."
            )
        if name in names:
            raise ClientException(
                f"Volume names must be unique within a task definition: '{name}' is used twice."
            )
        names.add(name)
        _check_kind(name, volume)
    at_launch = [volume["name"] for volume in document["volumes"] if volume.get("configuredAtLaunch")]
    if len(at_launch) > 1:
        raise ClientException("Only one volume of a task definition can be configured at launch.")


def _check_kind(name: str, volume: Document) -> None:
    kinds = [kind for kind in _KINDS_OF_VOLUME if kind in volume]
    if len(kinds) > 1:
        raise ClientException(f"Volume '{name}' has more than one configuration: {', '.join(kinds)}.")
    if kinds and volume.get("configuredAtLaunch"):
        raise ClientException(f"Volume '{name}' is configured at launch and takes no {kinds[0]}.")
    if "dockerVolumeConfiguration" in volume:
        _check_docker_volume(name, volume["dockerVolumeConfiguration"])
    if "efsVolumeConfiguration" in volume:
        _check_efs_volume(name, volume["efsVolumeConfiguration"])


def _check_docker_volume(name: str, configuration: Document) -> None:
    if configuration.get("autoprovision") and configuration["scope"] != "shared":
        raise ClientException(f"Volume '{name}': autoprovision is supported when the scope is shared.")


def _check_efs_volume(name: str, configuration: Document) -> None:
    authorization = configuration.get("authorizationConfig", {})
    access_point = authorization.get("accessPointId")
    if (access_point or authorization.get("iam") == "ENABLED") and configuration.get(
        "transitEncryption"
    ) != "ENABLED":
        raise ClientException(
            f"Volume '{name}': EFS IAM authorization and access points require transitEncryption ENABLED."
        )
    if access_point and configuration["rootDirectory"] != "/":
        raise ClientException(
            f"Volume '{name}': with an EFS access point the rootDirectory should be / or absent."
        )


def check_mount_points(document: Document) -> None:
    """Mount points name a volume of the task definition and a path, and no path is mounted twice."""
    volumes = {volume["name"] for volume in document["volumes"]}
    for container in document["containerDefinitions"]:
        paths = set()
        for mount in container["mountPoints"]:
            if mount.get("sourceVolume") not in volumes:
                raise ClientException(f"Unknown volume '{mount.get('sourceVolume', '')}'.")
            path = mount.get("containerPath")
            if not path:
                raise ClientException(
                    f"Invalid mount point for container '{container['name']}'. 'containerPath' should not "
                    "be null or empty."
                )
            if path in paths:
                raise ClientException(f"Container '{container['name']}' mounts two volumes at '{path}'.")
            paths.add(path)
