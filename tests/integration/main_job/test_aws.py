"""A controller with an AWS profile: tasks get what AWS keeps, as if they ran there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.main_job.homeport import Homeport
from tests.integration.main_job.test_secrets import environment_of, keep
from tests.support.aws import ACCOUNT, AwsProcess

pytestmark = pytest.mark.engine

MEMORY_LIMIT_MIB = 100
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[AwsProcess]:
    """An emulated AWS."""
    process = AwsProcess(tmp_path / "aws")
    process.start()
    yield process
    process.end()


def test_tasks_get_what_aws_keeps(homeport: Homeport, emulator: AwsProcess) -> None:
    emulator.client("ssm").put_parameter(Name="/db/host", Value="db.example", Type="SecureString")
    secret = emulator.client("secretsmanager").create_secret(
        Name="db", SecretString=json.dumps({"password": "from-aws"})
    )
    storage = emulator.client("s3")
    storage.create_bucket(Bucket="files")
    storage.put_object(Bucket="files", Key="web.env", Body=b"LEVEL=debug\n")
    homeport.controller.stop()
    homeport.controller.environment |= emulator.profile("lab") | {"HOMEPORT_AWS_PROFILE": "lab"}
    homeport.controller.start()
    homeport.wait_for_connection()
    keep(homeport, "own", "from-here")
    homeport.client.homeport("PutTaskRole", name="worker", assumedArn=ROLE)

    arn = homeport.run_task(
        homeport.register(
            "aws",
            {
                "command": ["sleep", "600"],
                "stopTimeout": 1,
                "environmentFiles": [{"value": "arn:aws:s3:::files/web.env", "type": "s3"}],
                "secrets": [
                    {"name": "HOST", "valueFrom": "/db/host"},
                    {"name": "PASSWORD", "valueFrom": f"{secret['ARN']}:password::"},
                    {"name": "OWN", "valueFrom": "own"},
                ],
            },
            executionRoleArn=ROLE,
        )
    )
    homeport.wait_for_status(arn, "RUNNING")
    assert "service=sts" in homeport.controller.log()
    environment = environment_of(homeport, arn)
    assert (environment["HOST"], environment["PASSWORD"]) == ("db.example", "from-aws")
    assert (environment["LEVEL"], environment["OWN"]) == ("debug", "from-here")

    missing = {"secrets": [{"name": "A", "valueFrom": "/no/such/parameter"}]}
    refused = homeport.wait_for_status(homeport.run_task(homeport.register("missing", missing)), "STOPPED")
    assert refused["stoppedReason"].endswith("Invalid ssm parameters: /no/such/parameter")
    used_mib = psutil.Process(homeport.controller.pid).memory_full_info().pss / 2**20
    assert used_mib < MEMORY_LIMIT_MIB
