"""What a task takes from its host, written on its containers: an agent without its checkpoint still
counts it, and limits it as before.
"""

from collections.abc import Mapping

import msgspec
import structlog

from agent.engine.payload_documents import docker_document
from agent.protocol import acs

log = structlog.get_logger(__name__)

TASK_SHARE_LABEL = "homeport.task-share"
CONTAINER_SHARE_LABEL = "homeport.container-share"
_COUNTED_HOST_CONFIG = ("MemoryReservation", "NetworkMode")


def share_labels(task: acs.Task, container: acs.Container) -> dict[str, str]:
    """The labels of ``container``: parts of the definition as a payload has them, without its environment."""
    host_config = docker_document(container, "host_config")
    counted = {name: host_config[name] for name in _COUNTED_HOST_CONFIG if host_config.get(name)}
    own = acs.Container(
        cpu=container.cpu,
        memory=container.memory,
        port_mappings=container.port_mappings,
        docker_config=acs.DockerConfig(host_config=_json(counted)) if counted else None,
    )
    whole = acs.Task(
        cpu=task.cpu,
        memory=task.memory,
        network_mode=task.network_mode,
        associations=tuple(a for a in task.associations if container.name in a.containers),
    )
    return {TASK_SHARE_LABEL: _json(whole), CONTAINER_SHARE_LABEL: _json(own)}


def read_share(labels: Mapping[str, str]) -> tuple[acs.Task, acs.Container]:
    """What ``share_labels`` wrote; nothing of a container without these labels, or whose labels somebody has
    changed.
    """
    try:
        return (
            msgspec.json.decode(labels.get(TASK_SHARE_LABEL, "{}"), type=acs.Task),
            msgspec.json.decode(labels.get(CONTAINER_SHARE_LABEL, "{}"), type=acs.Container),
        )
    except msgspec.DecodeError as error:
        log.warning("share_label_not_readable", reason=str(error))
        return acs.Task(), acs.Container()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
