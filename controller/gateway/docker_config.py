"""What a container definition asks of Docker directly: the `Config` and `HostConfig` documents of the Engine
API.

Agents lay both over what they make of the payload's other members. The ECS agent ignores the payload's own
members for most of this (privileged, linuxParameters, user, ulimits, ...), so here is the only place where
they take effect. Names are the Engine API's.
"""

from __future__ import annotations

from controller.state.entities import Document

BYTES_PER_MIB = 1024 * 1024
NANOSECONDS_PER_SECOND = 10**9

HEALTH_CHECK_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}
"""ECS's: seconds, and a count of retries."""

DEVICE_PERMISSIONS = {"read": "r", "write": "w", "mknod": "m"}


def docker_config(container: Document, network_mode: str) -> Document:
    """The `Config` document of a container definition."""
    config = _renamed(
        container,
        {
            "user": "User",
            "workingDirectory": "WorkingDir",
            "dockerLabels": "Labels",
            "interactive": "OpenStdin",
            "pseudoTerminal": "Tty",
            "disableNetworking": "NetworkDisabled",
        },
    )
    # A container in a network namespace of its own shares the namespace's host name.
    if container.get("hostname") and network_mode != "awsvpc":
        config["Hostname"] = container["hostname"]
    if has_health_check(container):
        config["Healthcheck"] = _health_check(container["healthCheck"])
    return config


def has_health_check(container: Document) -> bool:
    """Whether the container's health is checked and reported; `NONE` switches even the image's own check
    off."""
    command = container.get("healthCheck", {}).get("command", ())
    return bool(command) and command[0] != "NONE"


def host_config(container: Document, network_mode: str) -> Document:
    """The `HostConfig` document of a container definition."""
    config = _renamed(
        container,
        {
            "privileged": "Privileged",
            "readonlyRootFilesystem": "ReadonlyRootfs",
            "dnsServers": "Dns",
            "dnsSearchDomains": "DnsSearch",
            "dockerSecurityOptions": "SecurityOpt",
        },
    )
    # Agents make the namespace of an awsvpc task themselves and choose the mode that joins it.
    if network_mode != "awsvpc":
        config["NetworkMode"] = network_mode
    if container.get("memoryReservation"):
        config["MemoryReservation"] = container["memoryReservation"] * BYTES_PER_MIB
    if container.get("extraHosts") and network_mode != "awsvpc":
        config["ExtraHosts"] = [f"{host['hostname']}:{host['ipAddress']}" for host in container["extraHosts"]]
    if container.get("ulimits"):
        config["Ulimits"] = [
            {"Name": limit["name"], "Soft": limit["softLimit"], "Hard": limit["hardLimit"]}
            for limit in container["ulimits"]
        ]
    if container.get("systemControls"):
        config["Sysctls"] = {
            control["namespace"]: control["value"] for control in container["systemControls"]
        }
    if container.get("logConfiguration"):
        log = container["logConfiguration"]
        config["LogConfig"] = {"Type": log["logDriver"], "Config": dict(log.get("options", {}))}
    return config | _linux_parameters(container)


def _renamed(container: Document, names: dict[str, str]) -> Document:
    """Members that only change their name; what is absent, empty or false is Docker's default anyway."""
    return {docker: container[ecs] for ecs, docker in names.items() if container.get(ecs)}


def _health_check(health_check: Document) -> Document:
    settings = HEALTH_CHECK_DEFAULTS | health_check
    return {
        "Test": list(health_check["command"]),
        "Interval": settings["interval"] * NANOSECONDS_PER_SECOND,
        "Timeout": settings["timeout"] * NANOSECONDS_PER_SECOND,
        "Retries": settings["retries"],
        "StartPeriod": settings["startPeriod"] * NANOSECONDS_PER_SECOND,
    }


def _linux_parameters(container: Document) -> Document:
    parameters = container.get("linuxParameters", {})
    config: Document = {}
    capabilities = parameters.get("capabilities", {})
    if capabilities.get("add"):
        config["CapAdd"] = list(capabilities["add"])
    if capabilities.get("drop"):
        config["CapDrop"] = list(capabilities["drop"])
    if parameters.get("devices"):
        config["Devices"] = [_device(device) for device in parameters["devices"]]
    if parameters.get("initProcessEnabled"):
        config["Init"] = True
    if parameters.get("sharedMemorySize"):
        config["ShmSize"] = parameters["sharedMemorySize"] * BYTES_PER_MIB
    if parameters.get("tmpfs"):
        config["Tmpfs"] = {mount["containerPath"]: _tmpfs_options(mount) for mount in parameters["tmpfs"]}
    return config | _swap(container, parameters)


def _device(device: Document) -> Document:
    permissions = device.get("permissions") or DEVICE_PERMISSIONS
    return {
        "PathOnHost": device["hostPath"],
        "PathInContainer": device.get("containerPath") or device["hostPath"],
        "CgroupPermissions": "".join(
            letter for name, letter in DEVICE_PERMISSIONS.items() if name in permissions
        ),
    }


def _tmpfs_options(mount: Document) -> str:
    return ",".join([f"size={mount['size']}m", *mount.get("mountOptions", ())])


def _swap(container: Document, parameters: Document) -> Document:
    """Docker's MemorySwap is memory and swap together; without a memory limit, or without maxSwap, ECS sets
    neither member."""
    max_swap = parameters.get("maxSwap")
    if max_swap is None or not container.get("memory"):
        return {}
    config: Document = {"MemorySwap": (container["memory"] + max_swap) * BYTES_PER_MIB}
    if "swappiness" in parameters:
        config["MemorySwappiness"] = parameters["swappiness"]
    return config
