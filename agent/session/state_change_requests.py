"""Task changes in the form of SubmitTaskStateChange."""

from typing import Any

from agent.engine.changes import ContainerChange, NetworkBinding, NetworkInterface, TaskChange

REASON_LIMIT = 1024
RUNTIME_ID_LIMIT = 255
IMAGE_DIGEST_LIMIT = 255
_ANY_IPV6 = "::"


def task_state_change_request(cluster: str, change: TaskChange, *, exclude_ipv6: bool) -> dict[str, Any]:
    """The request that reports ``change``. Texts are cut to ECS's limits; ``reason`` is sent even when empty.

    ``exclude_ipv6`` leaves out bindings to ``::``, which repeat the IPv4 ones. ``networkInterfaces`` is not
    ECS's, where the control plane makes the interfaces of awsvpc tasks and knows them; it passes over members
    that it does not know.
    """
    request: dict[str, Any] = {
        "cluster": cluster,
        "task": change.task_arn,
        "status": change.status,
        "reason": cut(change.reason, REASON_LIMIT),
        "containers": [_container(container, exclude_ipv6) for container in change.containers],
    }
    if change.network_interface is not None:
        request["networkInterfaces"] = [_interface(change.network_interface)]
    times = {
        "pullStartedAt": change.pull_started_at,
        "pullStoppedAt": change.pull_stopped_at,
        "executionStoppedAt": change.execution_stopped_at,
    }
    return request | {name: time for name, time in times.items() if time is not None}


def cut(text: str, limit: int) -> str:
    """The longest beginning of ``text`` that takes at most ``limit`` bytes of UTF-8, without half a
    character.
    """
    return text.encode(errors="replace")[:limit].decode(errors="ignore")


def _container(change: ContainerChange, exclude_ipv6: bool) -> dict[str, Any]:
    container: dict[str, Any] = {
        "containerName": change.name,
        "status": change.status,
        "networkBindings": [
            _binding(binding)
            for binding in change.network_bindings
            if not (exclude_ipv6 and binding.bind_ip == _ANY_IPV6)
        ],
    }
    if change.runtime_id:
        container["runtimeId"] = cut(change.runtime_id, RUNTIME_ID_LIMIT)
    if change.image_digest:
        container["imageDigest"] = cut(change.image_digest, IMAGE_DIGEST_LIMIT)
    if change.exit_code is not None:
        container["exitCode"] = change.exit_code
    if change.reason:
        container["reason"] = cut(change.reason, REASON_LIMIT)
    return container


def _binding(binding: NetworkBinding) -> dict[str, Any]:
    bound: dict[str, Any] = {"bindIP": binding.bind_ip, "protocol": binding.protocol}
    if binding.container_port_range:
        bound["containerPortRange"] = binding.container_port_range
        bound["hostPortRange"] = binding.host_port_range
        return bound
    return bound | {"containerPort": binding.container_port, "hostPort": binding.host_port}


def _interface(interface: NetworkInterface) -> dict[str, Any]:
    return {
        "privateIpv4Address": interface.private_ipv4_address,
        "macAddress": interface.mac_address,
    }
