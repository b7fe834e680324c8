"""Values and credentials from an emulated AWS, over botocore and HTTP as from the real one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.aws.calls import Aws, AwsCallFailed
from controller.aws.roles import AwsRoles
from controller.aws.values import AwsValues
from controller.roles.issuing import CannotAssumeRole
from controller.secrets.references import file_reference, secret_reference
from controller.secrets.sources import ValueNotAvailable
from controller.state.names import Names
from tests.support.aws import ACCOUNT, REGION, AwsProcess
from tests.support.clock import FakeClock
from tests.support.processes import free_port

NAMES = Names(account="000000000000", region=REGION)
PROFILE = "homeport-test"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsProcess]:
    """An AWS with a parameter, a secret of two versions, an object and nothing else."""
    process = AwsProcess(tmp_path_factory.mktemp("aws"))
    process.start()
    process.client("ssm").put_parameter(Name="/db/password", Value="parameter", Type="SecureString")
    secrets = process.client("secretsmanager")
    secrets.create_secret(Name="db", SecretString=json.dumps({"user": "before"}))
    secrets.put_secret_value(SecretId="db", SecretString=json.dumps({"user": "now"}))
    secrets.create_secret(Name="binary", SecretBinary=b"\x00")
    storage = process.client("s3")
    storage.create_bucket(Bucket="files")
    storage.put_object(Bucket="files", Key="team/web.env", Body=b"A=1\n")
    storage.put_object(Bucket="files", Key="binary.env", Body=b"\xff")
    storage.put_object(Bucket="files", Key="long.env", Body=b"x" * (1024 * 1024 + 1))
    yield process
    process.end()


@pytest.fixture
async def aws(emulator: AwsProcess, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    """Calls of it, with a profile."""
    for name, value in emulator.profile(PROFILE).items():
        monkeypatch.setenv(name, value)
    calls = Aws(PROFILE)
    yield calls
    calls.close()


def secret_arn(emulator: AwsProcess, name: str) -> str:
    return str(emulator.client("secretsmanager").describe_secret(SecretId=name)["ARN"])


async def test_parameters_are_found_by_name_and_by_arn(aws: Aws) -> None:
    values = AwsValues(aws, FakeClock())
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/db/password"
    for given in ("/db/password", arn):
        assert await values.parameter(secret_reference(given, NAMES)) == "parameter"
    with pytest.raises(ValueNotAvailable, match="Invalid ssm parameters: nothing") as caught:
        await values.parameter(secret_reference("nothing", NAMES))
    assert not caught.value.again


async def test_secrets_are_found_with_stage_and_version(aws: Aws, emulator: AwsProcess) -> None:
    values = AwsValues(aws, FakeClock())
    arn = secret_arn(emulator, "db")
    first = emulator.client("secretsmanager").get_secret_value(SecretId="db", VersionStage="AWSPREVIOUS")
    for rest, text in (
        ("", "now"),
        ("::AWSPREVIOUS:", "before"),
        (f":::{first['VersionId']}", "before"),
    ):
        found = await values.secret(secret_reference(arn + rest, NAMES))
        assert json.loads(found) == {"user": text}
    with pytest.raises(ValueNotAvailable, match="does not hold text"):
        await values.secret(secret_reference(secret_arn(emulator, "binary"), NAMES))
    missing = secret_reference(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:no-AbCdEf", NAMES)
    with pytest.raises(
        ValueNotAvailable, match="from secrets manager: ResourceNotFoundException: "
    ) as caught:
        await values.secret(missing)
    assert not caught.value.again


async def test_objects_are_found_if_they_are_text_of_a_sensible_length(aws: Aws) -> None:
    values = AwsValues(aws, FakeClock())
    assert await values.object(file_reference("arn:aws:s3:::files/team/web.env", NAMES)) == "A=1\n"
    for key, words in (
        ("no.env", "NoSuchKey"),
        ("binary.env", "is not a text in UTF-8"),
        ("long.env", "is longer than"),
    ):
        with pytest.raises(ValueNotAvailable, match=words):
            await values.object(file_reference(f"arn:aws:s3:::files/{key}", NAMES))


async def test_a_login_for_ecr_is_kept_until_shortly_before_its_end(aws: Aws) -> None:
    clock = FakeClock()
    calls: list[str] = []
    real = aws.call

    async def counted(service: str, region: str, operation: str, **members: object) -> dict[str, object]:
        calls.append(operation)
        return await real(service, region, operation, **members)

    aws.call = counted  # type: ignore[method-assign]
    values = AwsValues(aws, clock)
    login = await values.ecr_login(ACCOUNT, REGION)
    assert (login.username, bool(login.password)) == ("AWS", True)
    assert login.expires_at is not None
    clock.jump_wall(login.expires_at - 12 * 3600 - clock.now())
    await AwsValues(aws, clock).ecr_login(ACCOUNT, REGION)
    renewing = AwsValues(aws, clock)
    calls.clear()
    await renewing.ecr_login(ACCOUNT, REGION)
    clock.advance(10.5 * 3600)
    await renewing.ecr_login(ACCOUNT, REGION)
    assert len(calls) == 1
    clock.advance(3600)
    await renewing.ecr_login(ACCOUNT, REGION)
    assert len(calls) == 2


async def test_a_role_is_assumed_under_the_tasks_name(aws: Aws) -> None:
    given = await AwsRoles(aws, REGION).assume(f"arn:aws:iam::{ACCOUNT}:role/worker", "0" * 32)
    assert given.access_key_id.startswith("ASIA")
    assert given.session_token
    assert given.secret_access_key not in repr(given)


async def test_an_aws_that_cannot_be_reached_may_be_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    aws = Aws("default")
    with pytest.raises(AwsCallFailed) as caught:
        await aws.call("sts", REGION, "get_caller_identity")
    assert caught.value.again
    with pytest.raises(CannotAssumeRole) as refused:
        await AwsRoles(aws, REGION).assume("arn:aws:iam::123456789012:role/worker", "0" * 32)
    assert not refused.value.final
    aws.close()


async def test_a_profile_that_does_not_exist_is_no_passing_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    aws = Aws("no-such-profile")
    with pytest.raises(AwsCallFailed, match="no-such-profile") as caught:
        await aws.call("ssm", REGION, "get_parameters", Names=["x"])
    assert not caught.value.again
    aws.close()
