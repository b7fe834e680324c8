"""The form in which a task definition is kept and answered: defaults filled exactly where ECS fills them.

Clients compare what they sent with what they read back (Terraform plans a replacement for any difference that
ECS would not make), so nothing is filled beyond ECS's own list, and normalising twice is the same as once.
"""

from __future__ import annotations

from controller.api.task_definition_rules.sizes import cpu_units, memory_mib
from controller.state.entities import Document

HEALTH_CHECK_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}
_LISTS_ALWAYS_PRESENT = ("environment", "mountPoints", "volumesFrom", "systemControls")
_MODES_OF_ONE_PORT_SPACE = ("awsvpc", "host")


def normalise(request: Document) -> Document:
    """The document of a RegisterTaskDefinition request, without its tags.

    Raises:
        ClientException: the task's cpu or memory is written in no known form.
    """
    document = {name: value for name, value in request.items() if name != "tags"}
    network_mode = request.get("networkMode", "bridge")
    document["containerDefinitions"] = [
        _container(container, network_mode) for container in request["containerDefinitions"]
    ]
    document["volumes"] = [_volume(volume) for volume in request.get("volumes", ())]
    document["placementConstraints"] = list(request.get("placementConstraints", ()))
    if "cpu" in request:
        document["cpu"] = str(cpu_units(request["cpu"]))
    if "memory" in request:
        document["memory"] = str(memory_mib(request["memory"]))
    return document


def _container(container: Document, network_mode: str) -> Document:
    filled = {"cpu": 0, "essential": True, **{name: [] for name in _LISTS_ALWAYS_PRESENT}, **container}
    filled["portMappings"] = [
        _port_mapping(mapping, network_mode) for mapping in container.get("portMappings", ())
    ]
    if "healthCheck" in container:
        filled["healthCheck"] = {**HEALTH_CHECK_DEFAULTS, **container["healthCheck"]}
    return filled


def _port_mapping(mapping: Document, network_mode: str) -> Document:
    filled = {"protocol": "tcp", **mapping}
    if "containerPort" not in mapping:
        return filled
    if network_mode in _MODES_OF_ONE_PORT_SPACE:
        filled["hostPort"] = mapping.get("hostPort") or mapping["containerPort"]
    else:
        filled.setdefault("hostPort", 0)
    return filled


def _volume(volume: Document) -> Document:
    if set(volume) <= {"name"}:
        return {**volume, "host": {}}
    filled = dict(volume)
    if "dockerVolumeConfiguration" in volume:
        filled["dockerVolumeConfiguration"] = {"scope": "task", **volume["dockerVolumeConfiguration"]}
    if "efsVolumeConfiguration" in volume:
        filled["efsVolumeConfiguration"] = {"rootDirectory": "/", **volume["efsVolumeConfiguration"]}
    return filled
