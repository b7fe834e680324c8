"""Account settings, by boto3 and by the AWS CLI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from controller.keyring import ClientProfile
from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent
from tests.support.processes import wait_until


@pytest.fixture
def role(profile: ClientProfile, name: str, ecs: Any) -> Iterator[str]:
    """A principal whose settings no other test knows."""
    arn = f"arn:aws:iam::{profile.account_id}:role/{name}"
    yield arn
    for setting in ecs.list_account_settings(principalArn=arn)["settings"]:
        ecs.delete_account_setting(name=setting["name"], principalArn=arn)


def test_settings_are_put_listed_and_deleted(ecs: Any, role: str) -> None:
    put = ecs.put_account_setting(name="containerInsights", value="enhanced", principalArn=role)["setting"]
    assert put == {
        "name": "containerInsights",
        "value": "enhanced",
        "principalArn": role,
        "type": "user",
    }
    assert ecs.list_account_settings(principalArn=role)["settings"] == [put]
    assert (
        ecs.list_account_settings(principalArn=role, name="containerInsights", value="enabled")["settings"]
        == []
    )
    deleted = ecs.delete_account_setting(name="containerInsights", principalArn=role)["setting"]
    assert (deleted["value"], deleted["principalArn"]) == ("disabled", role)
    assert ecs.list_account_settings(principalArn=role)["settings"] == []


def test_effective_settings_come_in_pages_and_name_every_setting(ecs: Any, role: str) -> None:
    ecs.put_account_setting(name="awsvpcTrunking", value="enabled", principalArn=role)
    pages = list(
        ecs.get_paginator("list_account_settings").paginate(
            effectiveSettings=True, principalArn=role, PaginationConfig={"PageSize": 4}
        )
    )
    settings = {setting["name"]: setting for page in pages for setting in page["settings"]}
    assert len(pages) > 1
    assert set(settings) == set(ecs.meta.service_model.shape_for("SettingName").enum)
    assert settings["awsvpcTrunking"]["value"] == "enabled"
    assert settings["taskLongArnFormat"]["value"] == "enabled"
    assert settings["taskLongArnFormat"]["principalArn"].endswith(":root")


def test_the_default_holds_for_everybody_without_a_setting(ecs: Any, role: str) -> None:
    ecs.put_account_setting_default(name="fargateTaskRetirementWaitPeriod", value="14")
    (setting,) = ecs.list_account_settings(
        name="fargateTaskRetirementWaitPeriod", effectiveSettings=True, principalArn=role
    )["settings"]
    assert setting["value"] == "14"
    ecs.delete_account_setting(
        name="fargateTaskRetirementWaitPeriod", principalArn=role.partition("role/")[0] + "root"
    )
    (setting,) = ecs.list_account_settings(
        name="fargateTaskRetirementWaitPeriod", effectiveSettings=True, principalArn=role
    )["settings"]
    assert setting["value"] == "7"


def test_long_arns_cannot_be_disabled(ecs: Any) -> None:
    # Terraform recognises this text when it destroys an aws_ecs_account_setting_default.
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="You can no longer disable"):
        ecs.put_account_setting_default(name="serviceLongArnFormat", value="disabled")


def test_the_command_line_puts_and_lists_settings(aws: AwsCli, role: str) -> None:
    principal = ("--principal-arn", role)
    aws("put-account-setting", "--name", "fargateFIPSMode", "--value", "enabled", *principal)
    (setting,) = aws(
        "list-account-settings", "--effective-settings", "--name", "fargateFIPSMode", *principal
    )["settings"]
    assert setting["value"] == "enabled"
    aws("delete-account-setting", "--name", "fargateFIPSMode", *principal)
    assert aws("list-account-settings", *principal)["settings"] == []
    failed = aws.run("put-account-setting", "--name", "colour", "--value", "red")
    assert "should be one of [serviceLongArnFormat" in failed.stderr


def test_tasks_get_the_log_driver_mode_of_the_account(
    ecs: Any, cluster: str, name: str, agent: PlayedAgent
) -> None:
    log = {"logDriver": "json-file", "options": {"max-size": "1m"}}
    ecs.register_task_definition(
        family=name,
        containerDefinitions=[{"name": "web", "image": "web:1", "memory": 16, "logConfiguration": log}],
    )
    for mode in ("blocking", "non-blocking"):
        ecs.put_account_setting(name="defaultLogDriverMode", value=mode)
        (task,) = ecs.run_task(cluster=cluster, taskDefinition=name)["tasks"]
        received = wait_until(partial(payload_of, agent, task["taskArn"]), "the agent has the task")
        config = json.loads(received.containers[0].docker_config.host_config)["LogConfig"]
        assert config == {"Type": "json-file", "Config": {"max-size": "1m", "mode": mode}}
    ecs.delete_account_setting(name="defaultLogDriverMode")


def payload_of(agent: PlayedAgent, task_arn: str) -> Any:
    """The task as the agent has received it; None before it has."""
    return next((task for task in agent.received if task.arn == task_arn), None)
