"""What `valueFrom` means: names, ARNs, JSON keys, stages, versions; and what means nothing."""

from __future__ import annotations

import pytest

from controller.secrets.references import (
    InvalidReference,
    Reference,
    file_reference,
    parameter_arn,
    secret_arn,
    secret_reference,
    without_suffix,
)
from controller.state.names import Names

NAMES = Names(account="000000000000", region="us-east-1")
ASM = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
SSM = "arn:aws:ssm:eu-west-1:111122223333:parameter"


@pytest.mark.parametrize("name", ["password", "/db/password", "db.password-1"])
def test_a_bare_name_is_a_parameter_of_this_account(name: str) -> None:
    assert secret_reference(name, NAMES) == Reference("ssm", name, name, "us-east-1", "000000000000")


def test_a_parameters_arn_tells_name_region_and_account() -> None:
    found = secret_reference(f"{SSM}/db/password", NAMES)
    assert (found.provider, found.name, found.region, found.account) == (
        *("ssm", "/db/password", "eu-west-1", "111122223333"),
    )


@pytest.mark.parametrize(
    ("rest", "json_key", "stage", "version"),
    [
        ("", "", "", ""),
        (":user", "user", "", ""),
        (":user::", "user", "", ""),
        ("::AWSPREVIOUS:", "", "AWSPREVIOUS", ""),
        (":::9d4cb84b", "", "", "9d4cb84b"),
        (":user:AWSCURRENT:9d4cb84b", "user", "AWSCURRENT", "9d4cb84b"),
    ],
)
def test_a_secrets_arn_may_go_on(rest: str, json_key: str, stage: str, version: str) -> None:
    found = secret_reference(f"{ASM}team/db-AbCdEf{rest}", NAMES)
    assert (found.provider, found.name) == ("asm", "team/db-AbCdEf")
    assert (found.json_key, found.version_stage, found.version_id) == (json_key, stage, version)
    assert found.arn == f"{ASM}team/db-AbCdEf"


@pytest.mark.parametrize(
    "given",
    [
        f"{ASM}db:a:b:c:d",
        ASM,
        "arn:aws:ssm:eu-west-1:111122223333:document/x",
        "arn:aws:s3:::bucket/key.env",
        "arn:nonsense",
    ],
)
def test_what_is_neither_parameter_nor_secret_is_refused(given: str) -> None:
    with pytest.raises(InvalidReference):
        secret_reference(given, NAMES)


def test_an_environment_file_is_an_object_of_a_bucket() -> None:
    found = file_reference("arn:aws:s3:::my-bucket/team/web.env", NAMES)
    assert (found.provider, found.bucket, found.name) == ("s3", "my-bucket", "team/web.env")
    for given in ("arn:aws:s3:::my-bucket", "arn:aws:s3:::/web.env", "web.env", f"{SSM}/web.env"):
        with pytest.raises(InvalidReference):
            file_reference(given, NAMES)


@pytest.mark.parametrize("name", ["db", "team/db-password", "db-backup", "a-bcdefg"])
def test_the_arns_of_an_own_secret_lead_back_to_it(name: str) -> None:
    assert without_suffix(secret_reference(secret_arn(name, NAMES), NAMES).name) == name
    assert secret_reference(parameter_arn(name, NAMES), NAMES).name == f"/{name}"


def test_a_name_that_only_looks_like_another_with_a_suffix_stays_itself() -> None:
    assert without_suffix("db-backup") == "db-backup"
    assert without_suffix("plain") == "plain"
