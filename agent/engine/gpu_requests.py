"""GPUs as the Docker engine is asked for them."""

from typing import Any

from agent.protocol import acs


def device_requests(task: acs.Task, container: acs.Container) -> list[dict[str, Any]]:
    """``DeviceRequests`` for the GPUs that the controller has given to ``container``; empty without any."""
    given = [a.name for a in task.associations if a.type == "gpu" and container.name in a.containers]
    return [{"Driver": "nvidia", "DeviceIDs": given, "Capabilities": [["gpu"]]}] if given else []
