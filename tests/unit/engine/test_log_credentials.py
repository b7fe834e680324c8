"""As whom the awslogs driver writes."""

from __future__ import annotations

from typing import Any

import pytest

from agent.engine.log_credentials import add_log_credentials
from agent.protocol import acs

ROLE = acs.IAMRoleCredentials(credentials_id="id-1", role_arn="arn:aws:iam::123456789012:role/x")
AWSLOGS = {"Type": "awslogs", "Config": {"awslogs-group": "web"}}


def applied(log_config: dict[str, Any], *, strategy: str | None, role: acs.IAMRoleCredentials | None) -> Any:
    host_config = {"LogConfig": log_config}
    task = acs.Task(execution_role_credentials=role)
    add_log_credentials(host_config, task, acs.Container(name="app", logs_auth_strategy=strategy))
    return host_config["LogConfig"]


def test_the_engine_is_told_where_the_execution_roles_credentials_are() -> None:
    assert applied(AWSLOGS, strategy="ExecutionRole", role=ROLE) == {
        "Type": "awslogs",
        "Config": {"awslogs-group": "web", "awslogs-credentials-endpoint": "/v2/credentials/id-1"},
    }
    assert AWSLOGS["Config"] == {"awslogs-group": "web"}


@pytest.mark.parametrize(
    ("log_config", "strategy", "role"),
    [
        (AWSLOGS, None, ROLE),
        (AWSLOGS, "ExecutionRole", None),
        ({"Type": "json-file"}, "ExecutionRole", ROLE),
        ({}, "ExecutionRole", ROLE),
    ],
)
def test_otherwise_the_engine_writes_as_itself(
    log_config: dict[str, Any], strategy: str | None, role: acs.IAMRoleCredentials | None
) -> None:
    assert applied(log_config, strategy=strategy, role=role) == log_config
