"""Container instances, by boto3 and by the AWS CLI."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent


def test_health_is_shown_when_it_is_asked_for(ecs: Any, cluster: str, agent: PlayedAgent) -> None:
    asked = {"cluster": cluster, "containerInstances": [agent.arn]}
    assert "healthStatus" not in ecs.describe_container_instances(**asked)["containerInstances"][0]
    shown = ecs.describe_container_instances(**asked, include=["CONTAINER_INSTANCE_HEALTH"])
    health = shown["containerInstances"][0]["healthStatus"]
    assert health["overallStatus"] == "OK"
    (connectivity,) = (detail for detail in health["details"] if detail["type"] == "AGENT_CONNECTIVITY")
    assert connectivity["status"] == "OK"


def test_there_is_no_newer_agent(ecs: Any, cluster: str, agent: PlayedAgent) -> None:
    with pytest.raises(ecs.exceptions.NoUpdateAvailableException, match="no update available"):
        ecs.update_container_agent(cluster=cluster, containerInstance=agent.arn)
    with pytest.raises(ClientError, match="was not found"):
        ecs.update_container_agent(cluster=cluster, containerInstance="0" * 32)


def test_the_command_line_drains_an_instance_and_says_that_no_update_is_there(
    aws: AwsCli, cluster: str, agent: PlayedAgent
) -> None:
    here = ("--cluster", cluster)
    drained = aws(
        "update-container-instances-state",
        *here,
        *("--container-instances", agent.arn, "--status", "DRAINING"),
    )
    assert drained["containerInstances"][0]["status"] == "DRAINING"
    found = aws("list-container-instances", *here, "--status", "DRAINING")
    assert found["containerInstanceArns"] == [agent.arn]
    failed = aws.run("update-container-agent", *here, "--container-instance", agent.arn)
    assert "(NoUpdateAvailableException)" in failed.stderr
