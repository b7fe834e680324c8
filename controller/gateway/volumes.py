"""A task definition's volumes as the payload carries them."""

from __future__ import annotations

from agent.protocol import acs
from controller.state.entities import Document

DEFAULT_DRIVER = "local"

TYPES_WITHOUT_TRANSLATION = {
    "fsxWindowsFileServerVolumeConfiguration": "fsxWindowsFileServer",
    "s3filesVolumeConfiguration": "s3files",
    "configuredAtLaunch": "amazonebs",
}
"""Volumes that need a service which this controller does not have: agents refuse the type, and the task ends
with their reason."""


def payload_volume(volume: Document) -> acs.Volume:
    """One volume. A volume without any configuration is an empty one of the host that lives as long as its
    task."""
    if "dockerVolumeConfiguration" in volume:
        return acs.Volume(
            name=volume["name"],
            type="docker",
            docker_volume_configuration=_docker(volume["dockerVolumeConfiguration"]),
        )
    if "efsVolumeConfiguration" in volume:
        return acs.Volume(
            name=volume["name"], type="efs", efs_volume_configuration=_efs(volume["efsVolumeConfiguration"])
        )
    for member, kind in TYPES_WITHOUT_TRANSLATION.items():
        if volume.get(member):
            return acs.Volume(name=volume["name"], type=kind)
    # The ECS agent reads `host` without looking whether it is there.
    path = volume.get("host", {}).get("sourcePath") or None
    return acs.Volume(name=volume["name"], type="host", host=acs.HostVolumeProperties(source_path=path))


def _docker(configuration: Document) -> acs.DockerVolumeConfiguration:
    return acs.DockerVolumeConfiguration(
        scope=configuration.get("scope", "task"),
        autoprovision=configuration.get("autoprovision", False),
        driver=configuration.get("driver", DEFAULT_DRIVER),
        driver_opts=dict(configuration.get("driverOpts", {})),
        labels=dict(configuration.get("labels", {})),
    )


def _efs(configuration: Document) -> acs.EFSVolumeConfiguration:
    authorization = configuration.get("authorizationConfig")
    return acs.EFSVolumeConfiguration(
        file_system_id=configuration["fileSystemId"],
        root_directory=configuration.get("rootDirectory"),
        transit_encryption=configuration.get("transitEncryption"),
        transit_encryption_port=configuration.get("transitEncryptionPort"),
        authorization_config=None
        if authorization is None
        else acs.EFSAuthorizationConfig(
            access_point_id=authorization.get("accessPointId"), iam=authorization.get("iam")
        ),
    )
