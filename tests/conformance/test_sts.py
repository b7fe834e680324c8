"""STS: boto3, and the AWS CLI in a shell that took its settings from `homeport env`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from controller.keyring import ClientProfile
from tests.support.processes import HOMEPORT, ControllerProcess, clean_environment


@pytest.fixture
def sts(profile: ClientProfile) -> Iterator[Any]:
    client = boto3.session.Session().client(
        "sts",
        endpoint_url=profile.endpoint,
        region_name=profile.region,
        aws_access_key_id=profile.access_key_id,
        aws_secret_access_key=profile.secret_access_key,
        config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    yield client
    client.close()


def test_the_caller_is_told_account_arn_and_user(sts: Any, profile: ClientProfile) -> None:
    identity = sts.get_caller_identity()
    assert identity["Account"] == profile.account_id
    assert identity["Arn"] == f"arn:aws:iam::{profile.account_id}:user/administrator"
    assert identity["UserId"].startswith("AIDA")
    assert (
        identity["ResponseMetadata"]["RequestId"]
        == (identity["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    )


def test_other_actions_are_invalid(sts: Any) -> None:
    with pytest.raises(ClientError) as error:
        sts.get_session_token()
    assert error.value.response["Error"] == {
        "Type": "Sender",
        "Code": "InvalidAction",
        "Message": "Could not find operation GetSessionToken for version 2011-06-15",
    }


def test_the_command_line_works_with_homeport_env(
    controller: ControllerProcess, profile: ClientProfile
) -> None:
    program = os.environ.get("HOMEPORT_TEST_AWS")
    if not program:
        pytest.skip("HOMEPORT_TEST_AWS does not name an AWS CLI")
    script = (
        f'eval "$({HOMEPORT} env --data-dir {controller.data_dir})" && '
        f"{program} sts get-caller-identity --output json && {program} ecs list-clusters --output json"
    )
    finished = subprocess.run(
        ["/bin/sh", "-c", script],
        env=clean_environment(AWS_PAGER=""),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    identity, position = json.JSONDecoder().raw_decode(finished.stdout)
    assert identity["Account"] == profile.account_id
    assert "clusterArns" in json.loads(finished.stdout[position:])
