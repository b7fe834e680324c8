"""Parameters, secrets, objects and registry logins out of the real AWS."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from agent.protocol.clock import Clock
from controller.aws.calls import MAX_BODY_BYTES, Aws, AwsCallFailed
from controller.secrets.references import Reference
from controller.secrets.sources import RegistryLogin, ValueNotAvailable

LOGIN_USED_OF_LIFE = 11 / 12
"""A login for ECR, which holds for twelve hours, is renewed after eleven."""

_Answer = dict[str, Any]


class AwsValues:
    """Asks AWS. Those who ask the same at the same time share one call."""

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self._aws = aws
        self._clock = clock
        self._under_way: dict[tuple[str, ...], asyncio.Task[_Answer]] = {}
        self._logins: dict[tuple[str, str], tuple[RegistryLogin, float]] = {}

    async def parameter(self, reference: Reference) -> str:
        """The value of a parameter, decrypted. Raises `ValueNotAvailable`."""
        answer = await self._call(
            "ssm", reference.region, "get_parameters", Names=[reference.given], WithDecryption=True
        )
        for parameter in answer.get("Parameters", ()):
            return str(parameter["Value"])
        raise ValueNotAvailable(f"Invalid ssm parameters: {reference.given}")

    async def secret(self, reference: Reference) -> str:
        """The text of a secret's version. Raises `ValueNotAvailable`."""
        members = {"SecretId": reference.arn}
        if reference.version_id:
            members["VersionId"] = reference.version_id
        if reference.version_stage:
            members["VersionStage"] = reference.version_stage
        try:
            answer = await self._call("secretsmanager", reference.region, "get_secret_value", **members)
        except ValueNotAvailable as error:
            raise ValueNotAvailable(
                f"failed to fetch secret {reference.arn} from secrets manager: {error}", again=error.again
            ) from None
        if "SecretString" not in answer:
            raise ValueNotAvailable(f"the secret {reference.arn} does not hold text")
        return str(answer["SecretString"])

    async def object(self, reference: Reference) -> str:
        """The text of an object. Raises `ValueNotAvailable`."""
        answer = await self._call(
            "s3", reference.region, "get_object", Bucket=reference.bucket, Key=reference.name
        )
        if answer["ContentLength"] > MAX_BODY_BYTES:
            raise ValueNotAvailable(f"{reference.given} is longer than {MAX_BODY_BYTES} bytes")
        try:
            return bytes(answer["Body"]).decode()
        except UnicodeDecodeError:
            raise ValueNotAvailable(f"{reference.given} is not a text in UTF-8") from None

    async def ecr_login(self, registry_id: str, region: str) -> RegistryLogin:
        """A login for a registry of ECR, renewed in time. Raises `ValueNotAvailable`."""
        login, renew_at = self._logins.get((registry_id, region), (None, 0.0))
        if login is not None and self._clock.monotonic() < renew_at:
            return login
        answer = await self._call("ecr", region, "get_authorization_token", registryIds=[registry_id])
        found = _login(answer)
        life_s = max(0.0, (found.expires_at or 0.0) - self._clock.now())
        renew_at = self._clock.monotonic() + life_s * LOGIN_USED_OF_LIFE
        self._logins[registry_id, region] = found, renew_at
        return found

    async def _call(self, service: str, region: str, operation: str, **members: Any) -> _Answer:
        key = (service, region, operation, *(f"{name}={value}" for name, value in sorted(members.items())))
        shared = self._under_way.get(key)
        if shared is None:
            shared = asyncio.create_task(self._told(self._aws.call, service, region, operation, members))
            self._under_way[key] = shared
            shared.add_done_callback(lambda done: self._finished(key, done))
        # One who gives up must not end the call for the others.
        return await asyncio.shield(shared)

    def _finished(self, key: tuple[str, ...], done: asyncio.Task[_Answer]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # seen here, in case nobody waits for it any more

    @staticmethod
    async def _told(
        call: Callable[..., Awaitable[_Answer]],
        service: str,
        region: str,
        operation: str,
        members: dict[str, Any],
    ) -> _Answer:
        try:
            return await call(service, region, operation, **members)
        except AwsCallFailed as error:
            raise ValueNotAvailable(str(error), again=error.again) from None


def _login(answer: _Answer) -> RegistryLogin:
    """The login in an answer of ECR: name and password in base64."""
    for entry in answer.get("authorizationData", ()):
        try:
            text = base64.b64decode(entry["authorizationToken"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            break
        username, colon, password = text.partition(":")
        if colon:
            return RegistryLogin(username, password, entry["expiresAt"].timestamp())
    raise ValueNotAvailable("ECR gave no authorization token")
