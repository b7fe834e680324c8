"""GPUs as the Docker engine is asked for them."""

from typing import Any

from agent.protocol import acs


def device_requests(task: acs.Task, container: acs.Container) -> list[dict[str, Any]]:
    """``DeviceRequests`` for the GPUs that the controller has given to ``container``; empty without any."""
    given = _given(task, container)
    return [{"Driver": "nvidia", "DeviceIDs": given, "Capabilities": [["gpu"]]}] if given else []


def gpu_environment(task: acs.Task, container: acs.Container) -> list[str]:
    """The variable by which NVIDIA's container runtime and libraries know a container's GPUs."""
    given = _given(task, container)
    return [f"NVIDIA_VISIBLE_DEVICES={','.join(given)}"] if given else []


def _given(task: acs.Task, container: acs.Container) -> list[str]:
    return [a.name or "" for a in task.associations if a.type == "gpu" and container.name in a.containers]
