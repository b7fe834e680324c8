"""The credentials with which the ``awslogs`` driver writes: those of the task's execution role. Pure."""

from typing import Any

from agent.protocol import acs

DRIVER = "awslogs"
EXECUTION_ROLE = "ExecutionRole"
OPTION = "awslogs-credentials-endpoint"
"""The engine fetches from this path, at the address that tasks have the agent at."""


def add_log_credentials(host_config: dict[str, Any], task: acs.Task, container: acs.Container) -> None:
    """Have the engine write a container's logs as the task's execution role, where the payload says so."""
    role = task.execution_role_credentials
    if container.logs_auth_strategy != EXECUTION_ROLE or role is None or not role.credentials_id:
        return
    log_config = host_config.get("LogConfig") or {}
    if log_config.get("Type") == DRIVER:
        options = {**(log_config.get("Config") or {}), OPTION: f"/v2/credentials/{role.credentials_id}"}
        host_config["LogConfig"] = {**log_config, "Config": options}
