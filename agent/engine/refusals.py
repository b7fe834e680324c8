"""What of a well-formed task this agent cannot do: such a task is stopped with the reason, and nothing of it
is left out in silence.

Some members have no effect by themselves, as with amazon-ecs-agent: ``privileged`` and ``linuxParameters`` of
a container, which controllers also put into ``dockerConfig``, from where they take effect, and the version of
the Engine API in there, which is settled with the engine.
"""

from collections.abc import Iterator
from itertools import chain

from agent.engine.firelens import log_options
from agent.engine.namespaces import PAUSE_NAME, shared_namespaces
from agent.protocol import acs

_NETWORK_MODES = ("", "bridge", "host", "none", "awsvpc")
_SHARED_BY = {"network": "networkMode awsvpc", "pid": "pidMode task", "ipc": "ipcMode task"}


def refusal(task: acs.Task) -> str:
    """Why this agent cannot run a well-formed task; empty if it can."""
    of_containers = (what for container in task.containers for what in _unsupported_of(container))
    for what in chain(_unsupported(task), of_containers):
        return f"ResourceInitializationError: {what} is not supported by this agent"
    for container in task.containers:
        if container.memory and task.memory and container.memory > task.memory:
            return (
                f"resource cannot be initialized for task {task.arn}: the memory of container "
                f"{container.name} ({container.memory} MiB) is above that of the task ({task.memory} MiB)"
            )
    return ""


def _unsupported(task: acs.Task) -> Iterator[str]:
    if (task.network_mode or "") not in _NETWORK_MODES:
        yield f"networkMode {task.network_mode}"
    if all(container.name != PAUSE_NAME for container in task.containers):
        for namespace in shared_namespaces(task):
            yield f"{_SHARED_BY[namespace]} on the Docker engine's architecture"
    if task.proxy_configuration is not None:
        yield "proxyConfiguration"
    if task.elastic_network_interfaces:
        yield "a network interface that the control plane has made"
    if any(volume.type not in (None, "host", "docker") for volume in task.volumes):
        yield "a volume that is neither a host path nor a docker volume"
    for attachment in task.attachments:
        yield f"an attachment of type {attachment.attachment_type}"
    if any(association.type != "gpu" for association in task.associations):
        yield "an accelerator that is not a GPU"
    if task.enable_fault_injection:
        yield "enableFaultInjection"


def _unsupported_of(container: acs.Container) -> Iterator[str]:
    if container.firelens_configuration is not None:
        yield from _unsupported_router(container.name, container.firelens_configuration)
    if log_options(container) is not None and any(s.target == "LOG_DRIVER" for s in container.secrets):
        yield f"secretOptions of the log driver awsfirelens (container {container.name})"
    if container.credential_specs:
        yield f"credentialSpecs (container {container.name})"
    for managed in container.managed_agents:
        yield f"the managed agent {managed.name} (container {container.name})"


def _unsupported_router(name: str | None, router: acs.FirelensConfiguration) -> Iterator[str]:
    if router.type not in ("fluentd", "fluentbit"):
        yield f"firelensConfiguration of type {router.type} (container {name})"
    if (router.options or {}).get("config-file-type", "file") != "file":
        yield f"a firelensConfiguration whose config-file-type is not file (container {name})"
