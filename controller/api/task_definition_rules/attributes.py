"""The attributes that an instance must have to run a task definition (its requiresAttributes).

Names are those that agents register. An instance without one of them is passed over by the placement with the
reason ATTRIBUTE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from controller.state.entities import Document

LEGACY = "com.amazonaws.ecs.capability."
MODERN = "ecs.capability."
CPU_UNITS_OF_TEN_VCPUS = 10_240

_ECR_IMAGE = re.compile(r"\d{12}\.dkr\.ecr[.-].+\.amazonaws\.com(\.cn)?/.+")


def required_attributes(document: Document) -> tuple[str, ...]:
    """Attribute names that a normalised document needs, in a stable order."""
    needed = set(_of_task(document))
    for volume in document["volumes"]:
        needed.update(_of_volume(volume))
    for container in document["containerDefinitions"]:
        needed.update(_of_container(container, has_execution_role="executionRoleArn" in document))
    return tuple(sorted(needed))


def _of_task(document: Document) -> Iterator[str]:
    yield _docker_api("1.18")
    network_mode = document.get("networkMode")
    if network_mode == "awsvpc":
        yield MODERN + "task-eni"
    if "taskRoleArn" in document:
        yield LEGACY + ("task-iam-role-network-host" if network_mode == "host" else "task-iam-role")
    if "pidMode" in document or "ipcMode" in document:
        yield MODERN + "pid-ipc-namespace-sharing"
    if "cpu" in document or "memory" in document:
        yield MODERN + "task-cpu-mem-limit"
    if int(document.get("cpu", 0)) > CPU_UNITS_OF_TEN_VCPUS:
        yield MODERN + "increased-task-cpu-limit"
    if document.get("enableFaultInjection"):
        yield MODERN + "fault-injection"
    if "proxyConfiguration" in document:
        yield MODERN + "aws-appmesh"
    if document.get("inferenceAccelerators"):
        yield MODERN + "task-eia"


def _of_volume(volume: Document) -> Iterator[str]:
    if volume.get("configuredAtLaunch"):
        yield MODERN + "storage.ebs-task-volume-attach"
    if "dockerVolumeConfiguration" in volume:
        yield _docker_api("1.21")
        yield (
            MODERN
            + "docker-plugin."
            + volume["dockerVolumeConfiguration"].get("driver", "local").replace(":", ".")
        )
    if "efsVolumeConfiguration" in volume:
        yield MODERN + "efs"
        if volume["efsVolumeConfiguration"].get("authorizationConfig"):
            yield MODERN + "efsAuth"
    if "s3filesVolumeConfiguration" in volume:
        yield MODERN + "storage.s3-files"
    if "fsxWindowsFileServerVolumeConfiguration" in volume:
        yield MODERN + "fsxWindowsFileServer"


def _of_container(container: Document, *, has_execution_role: bool) -> Iterator[str]:
    if _ECR_IMAGE.fullmatch(container["image"]):
        yield LEGACY + "ecr-auth"
        if has_execution_role:
            yield MODERN + "execution-role-ecr-pull"
    if container.get("privileged"):
        yield LEGACY + "privileged-container"
    if "repositoryCredentials" in container:
        yield MODERN + "private-registry-authentication.secretsmanager"
    if "healthCheck" in container:
        yield MODERN + "container-health-check"
    if container.get("dependsOn") or "startTimeout" in container or "stopTimeout" in container:
        yield MODERN + "container-ordering"
    if container.get("restartPolicy", {}).get("enabled"):
        yield MODERN + "container-restart-policy"
    if container.get("environmentFiles"):
        yield MODERN + "env-files.s3"
    if container.get("dockerLabels"):
        yield _docker_api("1.19")
    if container.get("linuxParameters", {}).get("initProcessEnabled"):
        yield _docker_api("1.25")
    if any("containerPortRange" in mapping for mapping in container["portMappings"]):
        yield MODERN + "network.container-port-range"
    yield from _of_security_options(container)
    yield from _of_secrets(container.get("secrets", []), "environment-variables")
    yield from _of_logging(container, has_execution_role=has_execution_role)


def _of_security_options(container: Document) -> Iterator[str]:
    for option in container.get("dockerSecurityOptions", ()):
        if option.startswith("apparmor"):
            yield LEGACY + "apparmor"
        elif option.startswith("label"):
            yield LEGACY + "selinux"
        elif option.startswith("credentialspec"):
            yield MODERN + "gmsa"


def _of_secrets(secrets: list[Document], use: str) -> Iterator[str]:
    for secret in secrets:
        provider = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
        yield f"{MODERN}secrets.{provider}.{use}"


def _of_logging(container: Document, *, has_execution_role: bool) -> Iterator[str]:
    logging = container.get("logConfiguration")
    if logging is not None:
        yield LEGACY + "logging-driver." + logging["logDriver"]
        yield _docker_api("1.19")
        if logging["logDriver"] == "awslogs" and has_execution_role:
            yield MODERN + "execution-role-awslogs"
        yield from _of_secrets(logging.get("secretOptions", []), "bootstrap.log-driver")
    router = container.get("firelensConfiguration")
    if router is not None:
        yield MODERN + "firelens." + router["type"]
        config_type = router.get("options", {}).get("config-file-type")
        if config_type:
            yield MODERN + "firelens.options.config." + config_type


def _docker_api(version: str) -> str:
    return f"{LEGACY}docker-remote-api.{version}"
