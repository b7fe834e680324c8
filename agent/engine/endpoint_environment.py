"""The environment variables by which a container finds the agent's endpoints. Pure."""

from collections.abc import Sequence

from agent.protocol import acs

_BASE = "http://169.254.170.2"


def with_endpoints(environment: Sequence[str], task: acs.Task, metadata_id: str) -> list[str]:
    """``environment`` (``NAME=value``) with ECS's variables, which take the place of those of the same name.

    ``metadata_id`` is the container's own random id. AWS's SDKs find the credentials of the task's role by
    the variable that only tasks with one get.
    """
    ours = {
        "ECS_CONTAINER_METADATA_URI": f"{_BASE}/v3/{metadata_id}",
        "ECS_CONTAINER_METADATA_URI_V4": f"{_BASE}/v4/{metadata_id}",
        "ECS_AGENT_URI": f"{_BASE}/api/{metadata_id}",
    }
    if task.role_credentials is not None and task.role_credentials.credentials_id:
        uri = f"/v2/credentials/{task.role_credentials.credentials_id}"
        ours["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = uri
    kept = [entry for entry in environment if entry.partition("=")[0] not in ours]
    return [*kept, *(f"{name}={value}" for name, value in ours.items())]
