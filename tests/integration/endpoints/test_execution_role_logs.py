"""Logs for CloudWatch, written by the engine as the task's execution role: a role of an emulated AWS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.endpoints.conftest import Island
from tests.support.aws import ACCOUNT, REGION, AwsProcess
from tests.support.own_host import own_host
from tests.support.processes import wait_until

pytestmark = pytest.mark.engine

GROUP = "web"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/logs"


def test_the_awslogs_driver_writes_as_the_execution_role(tmp_path: Path) -> None:
    with own_host(tmp_path) as host:
        aws = AwsProcess(tmp_path / "aws", host.gateway)
        island = Island(tmp_path, host)
        island.controller.environment |= aws.profile("lab") | {"HOMEPORT_AWS_PROFILE": "lab"}
        try:
            aws.start()
            aws.client("logs").create_log_group(logGroupName=GROUP)
            island.controller.start()
            island.client.homeport("PutTaskRole", name="logs", assumedArn=ROLE_ARN)
            island.agent = island.new_agent("agent")
            island.agent.environment |= {
                "ECS_AVAILABLE_LOGGING_DRIVERS": '["json-file","awslogs"]',
                "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE": "true",
            }
            island.agent.start()
            options = {"awslogs-group": GROUP, "awslogs-region": REGION, "awslogs-endpoint": aws.endpoint}
            talker = {
                "name": "app",
                "command": ["sh", "-c", "echo hello from a task; sleep 600"],
                "stopTimeout": 1,
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
            # The engine knows no credentials: without those of the role, the container would not start.
            island.run(island.register("logs", talker, executionRoleArn=ROLE_ARN))
            logged = wait_until(lambda: _logged(aws), "what the task says is in CloudWatch", 30)
            assert logged == ["hello from a task"]
        finally:
            for process in (getattr(island, "agent", None), island.controller, aws):
                if process is not None:
                    process.end()


def _logged(aws: AwsProcess) -> list[str]:
    logs = aws.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    return [
        str(event["message"])
        for stream in streams
        for event in logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"])["events"]
    ]
