"""What a task definition's `valueFrom` and its like mean. Pure.

A parameter is named by itself or by its ARN, a secret of Secrets Manager by its ARN, which may go on with a
JSON key, a version stage and a version id: `…:secret:NAME:JSON-KEY:STAGE:VERSION-ID`, each of which may be
empty. An environment file is an object of S3.
"""

from __future__ import annotations

import hashlib
import re
import string
from typing import Literal

import msgspec

from agent.protocol.arn import Arn
from controller.state.names import Names

Provider = Literal["ssm", "asm", "s3"]
"""Systems Manager's parameters, Secrets Manager's secrets, S3's objects; in the words of the wire."""

LOCAL_BUCKET = "homeport"
"""The bucket whose objects are this controller's own secrets: `arn:aws:s3:::homeport/NAME.env`."""

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"

_SUFFIX_LENGTH = 6
_SUFFIX_CHARACTERS = string.ascii_letters + string.digits


_ECR_IMAGE = re.compile(
    r"(?P<id>\d{12})\.dkr\.ecr[.-](fips\.)?(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/.+"
)


class InvalidReference(ValueError):
    """A reference that cannot be read; the message says what is wrong with it."""


class Reference(msgspec.Struct, frozen=True):
    """Where a value is to be looked up."""

    provider: Provider
    given: str
    """As the task definition has it."""
    name: str
    """Of the parameter, the secret or the object."""
    region: str
    account: str = ""
    """Empty for a bare name, which is of this controller's account, and for objects of S3."""
    bucket: str = ""
    json_key: str = ""
    version_stage: str = ""
    version_id: str = ""

    @property
    def arn(self) -> str:
        """The ARN, or the bare name, without what follows it."""
        if self.provider != "asm":
            return self.given
        return ":".join(self.given.split(":")[:7])


class EcrRegistry(msgspec.Struct, frozen=True):
    """A registry of ECR, which takes its own logins only."""

    id: str
    """The account that it belongs to."""
    region: str


def ecr_registry(image: str) -> EcrRegistry | None:
    """The registry of ECR that an image is in; None if it is in none."""
    found = _ECR_IMAGE.fullmatch(image)
    return None if found is None else EcrRegistry(found["id"], found["region"])


def secret_reference(given: str, names: Names) -> Reference:
    """What a secret's `valueFrom` means.

    Raises:
        InvalidReference: it is an ARN of something else, or none that can be read.
    """
    if not given.startswith("arn:"):
        return Reference("ssm", given, given, names.region, names.account)
    arn = _parsed(given)
    if arn.service == "ssm" and arn.resource.startswith("parameter/"):
        return Reference("ssm", given, arn.resource.removeprefix("parameter"), arn.region, arn.account)
    kind, _, rest = arn.resource.partition(":")
    if arn.service == "secretsmanager" and kind == "secret" and rest:
        name, *details = rest.split(":")
        if len(details) > 3:
            raise InvalidReference(f"{given} has more after the secret's name than key, stage and version")
        json_key, stage, version = (*details, "", "", "")[:3]
        return Reference(
            "asm",
            given,
            name,
            arn.region,
            arn.account,
            json_key=json_key,
            version_stage=stage,
            version_id=version,
        )
    raise InvalidReference(f"{given} is neither the ARN of a parameter nor that of a secret")


def registry_reference(given: str, names: Names) -> Reference:
    """What a `credentialsParameter` means: a secret of Secrets Manager, by its name too.

    Raises:
        InvalidReference: it is an ARN of something else, or none that can be read.
    """
    if not given.startswith("arn:"):
        return Reference("asm", given, given, names.region, names.account)
    return secret_reference(given, names)


def file_reference(given: str, names: Names) -> Reference:
    """What an environment file's `value` means.

    Raises:
        InvalidReference: it is not the ARN of an object of S3.
    """
    arn = _parsed(given)
    bucket, slash, key = arn.resource.partition("/")
    if arn.service != "s3" or not bucket or not slash or not key:
        raise InvalidReference(f"{given} is not the ARN of an object of S3")
    return Reference("s3", given, key, names.region, bucket=bucket)


def parameter_arn(name: str, names: Names) -> str:
    """The ARN of one of this controller's own secrets, as a parameter."""
    return f"arn:aws:ssm:{names.region}:{names.account}:parameter/{name}"


def secret_arn(name: str, names: Names) -> str:
    """The ARN of one of this controller's own secrets, as one of Secrets Manager's."""
    return f"arn:aws:secretsmanager:{names.region}:{names.account}:secret:{with_suffix(name)}"


def with_suffix(name: str) -> str:
    """A secret's name as it stands in its ARN: with six characters more, which follow from the name."""
    digest = hashlib.sha256(name.encode()).digest()
    suffix = "".join(_SUFFIX_CHARACTERS[byte % len(_SUFFIX_CHARACTERS)] for byte in digest[:_SUFFIX_LENGTH])
    return f"{name}-{suffix}"


def without_suffix(name: str) -> str:
    """A secret's name from its ARN; the same name where it does not end as `with_suffix` would have it."""
    bare, _, _ = name.rpartition("-")
    return bare if bare and with_suffix(bare) == name else name


def _parsed(given: str) -> Arn:
    try:
        return Arn.parse(given)
    except ValueError:
        raise InvalidReference(f"{given} is not an ARN") from None
