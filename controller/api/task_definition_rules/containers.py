"""Rules about one container by itself: name, image, memory, CPU, health check, restarts, limits, logging."""

from __future__ import annotations

import re

from controller.api.errors import ClientException
from controller.api.task_definition_rules.task import NAME
from controller.state.entities import Document

MAX_IMAGE_LENGTH = 255
SMALLEST_MEMORY_MIB = 4
MAX_ENVIRONMENT_FILES = 10
MAX_IGNORED_EXIT_CODES = 50
RESTART_PERIOD_S = range(60, 1801)
SWAPPINESS = range(101)

HEALTH_CHECK_RANGES = {
    "interval": range(5, 301),
    "timeout": range(2, 61),
    "retries": range(1, 11),
    "startPeriod": range(301),
}
"""Seconds, and a count of retries."""

TMPFS_OPTIONS = frozenset(
    {"defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync"}
    | {
        "remount",
        "mand",
        "nomand",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "bind",
        "rbind",
        "unbindable",
    }
    | {"runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave", "relatime", "norelatime"}
    | {"strictatime", "nostrictatime", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}
)

_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SECURITY_OPTION = re.compile(
    r"no-new-privileges(:(true|false))?|(apparmor|label|credentialspec|seccomp|systempaths)[:=].+"
)


def check_name_and_image(container: Document) -> None:
    """Both are there; the image is at most 255 characters long and its digest, if any, a SHA-256."""
    if not container.get("name"):
        raise ClientException("Container.name should not be null or empty.")
    if not NAME.fullmatch(container["name"]):
        raise ClientException(
            f"Invalid container name '{container['name']}'. Up to 255 letters (uppercase and lowercase), "
            "numbers, underscores, and hyphens are allowed."
        )
    if not container.get("image"):
        raise ClientException("Container.image should not be null or empty.")
    image, _, digest = container["image"].partition("@")
    if len(image) > MAX_IMAGE_LENGTH:
        raise ClientException(f"Container.image should be at most {MAX_IMAGE_LENGTH} characters long.")
    if "@" in container["image"] and not _DIGEST.fullmatch(digest):
        raise ClientException(
            f"Invalid image digest '{digest}' for container '{container['name']}'. It should be sha256:<64 "
            "hex digits>."
        )


def check_sizes(container: Document) -> None:
    """CPU is not negative, memory at least what an engine takes, the hard limit not below the reservation."""
    name = container["name"]
    if container["cpu"] < 0:
        raise ClientException(
            f"Invalid 'cpu' setting for container '{name}'. It should be 0 or more CPU units."
        )
    for member in ("memory", "memoryReservation"):
        if container.get(member, SMALLEST_MEMORY_MIB) < SMALLEST_MEMORY_MIB:
            raise ClientException(
                f"Invalid '{member}' setting for container '{name}'. It should be at least "
                f"{SMALLEST_MEMORY_MIB} MiB."
            )
    if container.get("memory", container.get("memoryReservation", 0)) < container.get("memoryReservation", 0):
        raise ClientException(
            f"Invalid setting for container '{name}'. The hard limit 'memory' must not be lower than the "
            "soft limit 'memoryReservation'."
        )


def check_health_check(container: Document) -> None:
    """A command that starts with CMD, CMD-SHELL or NONE, and figures within ECS's ranges."""
    health_check = container.get("healthCheck")
    if health_check is None:
        return
    command = health_check["command"]
    if not command or command[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise ClientException(
            f"Invalid health check for container '{container['name']}'. The command must start with CMD or "
            "CMD-SHELL."
        )
    if command[0] != "NONE" and len(command) < 2:
        raise ClientException(
            f"Invalid health check for container '{container['name']}'. The command is empty."
        )
    for member, allowed in HEALTH_CHECK_RANGES.items():
        if health_check.get(member, allowed.start) not in allowed:
            raise ClientException(
                f"Invalid health check for container '{container['name']}'. '{member}' should be between "
                f"{allowed.start} and {allowed.stop - 1}."
            )


def check_restart_policy(container: Document) -> None:
    """At most 50 exit codes, a period of one to thirty minutes."""
    policy = container.get("restartPolicy")
    if policy is None:
        return
    if len(policy.get("ignoredExitCodes", ())) > MAX_IGNORED_EXIT_CODES:
        raise ClientException(
            f"Invalid restart policy for container '{container['name']}'. At most {MAX_IGNORED_EXIT_CODES} "
            "exit codes can be ignored."
        )
    if policy.get("restartAttemptPeriod", RESTART_PERIOD_S.start) not in RESTART_PERIOD_S:
        raise ClientException(
            f"Invalid restart policy for container '{container['name']}'. 'restartAttemptPeriod' should be "
            "between 60 and 1800 seconds."
        )


def check_timeouts(container: Document) -> None:
    """Start and stop time limits are not negative."""
    for member, smallest in (("startTimeout", 1), ("stopTimeout", 0)):
        if container.get(member, smallest) < smallest:
            raise ClientException(
                f"Invalid '{member}' setting for container '{container['name']}'. It should be at least "
                f"{smallest} seconds."
            )


def check_ulimits(container: Document) -> None:
    """A soft limit is not above the hard one (-1 is no limit), and each limit is set once."""
    seen = set()
    for ulimit in container.get("ulimits", ()):
        if ulimit["name"] in seen:
            raise ClientException(f"Duplicate ulimit '{ulimit['name']}' for container '{container['name']}'.")
        seen.add(ulimit["name"])
        if ulimit["hardLimit"] != -1 and not 0 <= ulimit["softLimit"] <= ulimit["hardLimit"]:
            raise ClientException(
                f"Invalid ulimit '{ulimit['name']}' for container '{container['name']}'. The soft limit "
                "must be between 0 and the hard limit."
            )


def check_linux_parameters(container: Document) -> None:
    """Devices and tmpfs mounts are complete; swap and shared memory are in range."""
    parameters = container.get("linuxParameters")
    if parameters is None:
        return
    name = container["name"]
    for mount in parameters.get("tmpfs", ()):
        _check_tmpfs(name, mount)
    for device in parameters.get("devices", ()):
        if not device.get("hostPath"):
            raise ClientException(
                f"Invalid device for container '{name}'. 'hostPath' should not be null or empty."
            )
    if parameters.get("maxSwap", 0) < 0:
        raise ClientException(
            f"Invalid 'maxSwap' setting for container '{name}'. It should be 0 or more MiB."
        )
    if parameters.get("swappiness", 0) not in SWAPPINESS:
        raise ClientException(
            f"Invalid 'swappiness' setting for container '{name}'. It should be between 0 and 100."
        )
    if parameters.get("sharedMemorySize", 1) < 1:
        raise ClientException(
            f"Invalid 'sharedMemorySize' setting for container '{name}'. It should be at least 1 MiB."
        )


def _check_tmpfs(name: str, mount: Document) -> None:
    if not mount["containerPath"] or mount["size"] < 1:
        raise ClientException(
            f"Invalid tmpfs for container '{name}'. It needs a containerPath and a size of at least 1 MiB."
        )
    for option in mount.get("mountOptions", ()):
        if option.partition("=")[0] not in TMPFS_OPTIONS:
            raise ClientException(f"Invalid tmpfs mount option '{option}' for container '{name}'.")


def check_environment(container: Document) -> None:
    """Variables, secrets and files are named; no name is both a variable and a secret."""
    name = container["name"]
    variables = set()
    for variable in container["environment"]:
        if not variable.get("name"):
            raise ClientException(
                f"Invalid environment for container '{name}'. A variable's name should not be null or empty."
            )
        variables.add(variable["name"])
    for secret in container.get("secrets", ()):
        if not secret["name"] or not secret["valueFrom"]:
            raise ClientException(f"Invalid secret for container '{name}'. It needs a name and a valueFrom.")
        if secret["name"] in variables:
            raise ClientException(
                "The secret name must be unique and not shared with any new or existing environment "
                f"variables set on the container, such as '{secret['name']}'."
            )
        variables.add(secret["name"])
    _check_environment_files(name, container.get("environmentFiles", []))


def _check_environment_files(name: str, files: list[Document]) -> None:
    if len(files) > MAX_ENVIRONMENT_FILES:
        raise ClientException(f"Container '{name}' has more than {MAX_ENVIRONMENT_FILES} environment files.")
    for file in files:
        if not (file["value"].startswith("arn:") and file["value"].endswith(".env")):
            raise ClientException(
                f"Invalid environment file '{file['value']}' for container '{name}'. It should be the ARN "
                "of an .env object."
            )


def check_security_options(container: Document) -> None:
    """Only options that ECS knows."""
    for option in container.get("dockerSecurityOptions", ()):
        if not _SECURITY_OPTION.fullmatch(option):
            raise ClientException(
                f"Invalid dockerSecurityOptions value '{option}' for container '{container['name']}'."
            )
    if len(container.get("credentialSpecs", ())) > 1:
        raise ClientException(f"Container '{container['name']}' has more than one credentialSpec.")


def check_logging(container: Document) -> None:
    """The awslogs driver needs a group and a region; the mode is one of two words."""
    logging = container.get("logConfiguration")
    if logging is None:
        return
    options = logging.get("options", {})
    if logging["logDriver"] == "awslogs":
        for option in ("awslogs-group", "awslogs-region"):
            if option not in options:
                raise ClientException(f"Log driver awslogs requires options: {option}")
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise ClientException(
            f"Invalid log option 'mode' for container '{container['name']}'. It should be blocking or "
            "non-blocking."
        )


def check_resource_requirements(container: Document) -> None:
    """Whole GPUs, counted or all of them; nothing that no agent could give."""
    for requirement in container.get("resourceRequirements", ()):
        value = requirement.get("value", "")
        if requirement["type"] == "NeuronDevice" or "sharingStrategy" in requirement:
            raise ClientException(
                f"Invalid resource requirement for container '{container['name']}'. Neuron devices and "
                "shared GPUs are not available on this controller: request whole GPUs."
            )
        if requirement["type"] == "GPU" and value != "ALL" and not _COUNT.fullmatch(value):
            raise ClientException(
                f"Invalid GPU resource requirement '{value}' for container '{container['name']}'. It "
                "should be a number above 0 or ALL."
            )


CONTAINER_CHECKS = (
    check_name_and_image,
    check_sizes,
    check_health_check,
    check_restart_policy,
    check_timeouts,
    check_ulimits,
    check_linux_parameters,
    check_environment,
    check_security_options,
    check_logging,
    check_resource_requirements,
)
"""Every rule about a container by itself; the first one names what the others speak of."""
