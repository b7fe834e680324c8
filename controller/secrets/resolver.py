"""From a container's definition to the values that it gets: its secrets, environment files, log options and
registry login.

This controller's own secrets are looked at first; AWS is asked for what is not among them, where the
controller has a profile for it. What fails is told in ECS's words, since it becomes a task's stoppedReason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

from agent.protocol.extensions import ContainerSecrets
from controller.keyring import WrongKey
from controller.secrets.environment_file import merged, parse_environment_file
from controller.secrets.references import (
    LOCAL_BUCKET,
    InvalidReference,
    Reference,
    ecr_registry,
    file_reference,
    registry_reference,
    secret_reference,
    without_suffix,
)
from controller.secrets.sources import RegistryLogin, ValueNotAvailable, ValueSource
from controller.secrets.store import LocalSecrets, NoSuchVersion
from controller.state.entities import Document
from controller.state.kernel import Reader, State
from controller.state.names import Names

PULL = "unable to pull secrets or registry auth: execution resource retrieval failed: "
FROM_SSM = PULL + "unable to retrieve secrets from ssm: "
FROM_ASM = PULL + "unable to retrieve secret from asm: "
LOGIN_FROM_ASM = PULL + "unable to get registry auth from asm: "
LOGIN_FROM_ECR = PULL + "unable to retrieve ecr registry auth: "
FILES = "failed to download env files: "


class CannotResolve(Exception):
    """A container does not get its values; the message is ECS's and names no value. `again`: another attempt
    may help."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def needs_values(container: Document) -> bool:
    """Whether a container's definition names anything that has to be resolved."""
    return bool(
        container.get("secrets")
        or container.get("environmentFiles")
        or container.get("repositoryCredentials")
        or container.get("logConfiguration", {}).get("secretOptions")
        or ecr_registry(container["image"])
    )


class SecretsResolver:
    """Resolves what containers name."""

    def __init__(self, state: State, local: LocalSecrets, aws: ValueSource | None) -> None:
        """`aws` is None where the controller has no AWS profile."""
        self._state = state
        self._local = local
        self._aws = aws

    async def container(self, container: Document) -> ContainerSecrets:
        """Everything that one container gets; what of it is this controller's own is durable.

        Raises:
            CannotResolve: a value is missing or cannot be had now.
        """
        read = self._state.read()
        login = await self._login(read, container)
        resolved = ContainerSecrets(
            name=container["name"],
            secrets=await self._secrets(read, container.get("secrets", ())),
            environment_files=await self._files(read, container.get("environmentFiles", ())),
            log_options=await self._secrets(
                read, container.get("logConfiguration", {}).get("secretOptions", ())
            ),
            registry_username=login.username if login else "",
            registry_password=login.password if login else "",
            registry_expires_at=login.expires_at if login else None,
        )
        await self._state.flushed(read.touched)
        return resolved

    async def _secrets(self, read: Reader, secrets: Iterable[Document]) -> dict[str, str]:
        # Side by side: a task may have dozens, and AWS takes a tenth of a second for each.
        wanted = list(secrets)
        values = await asyncio.gather(*(self._secret(read, secret["valueFrom"]) for secret in wanted))
        return {secret["name"]: value for secret, value in zip(wanted, values, strict=True)}

    async def _secret(self, read: Reader, value_from: str) -> str:
        prefix = FROM_ASM if ":secretsmanager:" in value_from else FROM_SSM
        with _worded(prefix):
            reference = secret_reference(value_from, read.names)
            text = await self._text(read, reference)
            return _member(text, reference.json_key) if reference.json_key else text

    async def _files(self, read: Reader, files: Iterable[Document]) -> dict[str, str]:
        with _worded(FILES):
            texts = [await self._text(read, file_reference(file["value"], read.names)) for file in files]
        return merged([parse_environment_file(text) for text in texts])

    async def _login(self, read: Reader, container: Document) -> RegistryLogin | None:
        parameter = container.get("repositoryCredentials", {}).get("credentialsParameter")
        if parameter:
            with _worded(LOGIN_FROM_ASM):
                reference = registry_reference(parameter, read.names)
                return _login_in(await self._text(read, reference), reference)
        registry = ecr_registry(container["image"])
        if registry is None or self._aws is None:
            return None
        with _worded(LOGIN_FROM_ECR):
            return await self._aws.ecr_login(registry.id, registry.region)

    async def _text(self, read: Reader, reference: Reference) -> str:
        """The text that a reference leads to: of this controller's own secrets, else of AWS.

        Raises:
            ValueNotAvailable: there is none, or not now.
        """
        own = self._own(read, reference)
        if own is not None:
            return own
        if self._aws is None or reference.bucket == LOCAL_BUCKET:
            raise ValueNotAvailable(_not_found(reference, read.names, has_aws=self._aws is not None))
        ask: dict[str, Callable[[Reference], Awaitable[str]]] = {
            "ssm": self._aws.parameter,
            "asm": self._aws.secret,
            "s3": self._aws.object,
        }
        return await ask[reference.provider](reference)

    def _own(self, read: Reader, reference: Reference) -> str | None:
        """The value of an own secret; None if the reference leads to none.

        Raises:
            ValueNotAvailable: the secret is there, but not in this version, or it cannot be opened.
        """
        if not _is_own(reference, read.names):
            return None
        secret = self._local.find(read, reference.name)
        if secret is None and reference.provider == "asm":
            secret = self._local.find(read, without_suffix(reference.name))
        if secret is None:
            return None
        try:
            return self._local.value(secret, stage=reference.version_stage, version_id=reference.version_id)
        except NoSuchVersion:
            raise ValueNotAvailable(
                "ResourceNotFoundException: Secrets Manager can't find the specified secret value for "
                f"VersionId: {reference.version_id or '-'}, staging label: {reference.version_stage or '-'}, "
                f"of {reference.arn}"
            ) from None
        except WrongKey as error:
            raise ValueNotAvailable(f"{error}: put the secret.key of this store back") from None


def _is_own(reference: Reference, names: Names) -> bool:
    """Whether a reference may lead to a secret of this controller."""
    if reference.provider == "s3":
        return reference.bucket == LOCAL_BUCKET
    return (reference.account, reference.region) == (names.account, names.region)


def _not_found(reference: Reference, names: Names, *, has_aws: bool) -> str:
    if not has_aws and not _is_own(reference, names):
        return (
            f"{reference.arn} is AWS's to give, and this controller has no AWS profile to ask with: start it "
            "with --aws-profile, or keep the value with homeport secret set and name it by its own ARN"
        )
    match reference.provider:
        case "ssm":
            return f"Invalid ssm parameters: {reference.given}"
        case "asm":
            return (
                f"failed to fetch secret {reference.arn} from secrets manager: ResourceNotFoundException: "
                "Secrets Manager can't find the specified secret."
            )
        case "s3":
            return f"NoSuchKey: The specified key does not exist: {reference.given}"


def _member(text: str, key: str) -> str:
    """A member of a secret that is a JSON object; what is not text is given as JSON writes it."""
    document = _object(text)
    if key not in document:
        raise ValueNotAvailable(f"retrieved secret from Secrets Manager did not contain json key {key}")
    value = document[key]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _login_in(text: str, reference: Reference) -> RegistryLogin:
    document = _object(text)
    username, password = document.get("username"), document.get("password")
    if not isinstance(username, str) or not isinstance(password, str):
        raise ValueNotAvailable(f"the secret {reference.arn} lacks username or password")
    return RegistryLogin(username, password)


def _object(text: str) -> Document:
    try:
        document: Document = msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        # The decoder's own words could quote the secret.
        raise ValueNotAvailable("the secret is not a JSON object") from None
    return document


@contextmanager
def _worded(prefix: str) -> Iterator[None]:
    """Tell every failure inside in ECS's words."""
    try:
        yield
    except ValueNotAvailable as error:
        raise CannotResolve(prefix + str(error), again=error.again) from None
    except InvalidReference as error:
        raise CannotResolve(prefix + str(error), again=False) from None
