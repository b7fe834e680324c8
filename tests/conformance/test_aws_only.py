"""Operations that only AWS has, by boto3 and by the AWS CLI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import AwsCli


def test_lists_are_empty(ecs: Any) -> None:
    assert ecs.list_daemons()["daemonSummariesList"] == []
    for page in ecs.get_paginator("list_gateways").paginate():
        assert page["gateways"] == []


def test_a_refusal_says_what_to_use_instead(ecs: Any) -> None:
    with pytest.raises(
        ecs.exceptions.UnsupportedFeatureException, match="use CreateService with schedulingStrategy DAEMON"
    ):
        ecs.describe_daemon(daemonArn="x")


def test_the_command_line_shows_the_refusal(aws: AwsCli) -> None:
    failed = aws.run("describe-express-gateway-service", "--service-arn", "x")
    if "Invalid choice" in failed.stderr or "invalid choice" in failed.stderr:
        pytest.skip("this AWS CLI does not know the operation")
    assert "(UnsupportedFeatureException)" in failed.stderr
    assert "use RegisterTaskDefinition and CreateService" in failed.stderr
