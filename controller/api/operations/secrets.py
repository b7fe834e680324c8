"""This controller's own secrets, for our own command: service `homeport`, administrators only. Values go in
and never come out."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ResourceNotFoundException
from controller.secrets.references import parameter_arn, secret_arn
from controller.secrets.store import InvalidSecret, LocalSecrets
from controller.state.entities import Document, Secret
from controller.state.names import Names


class PutSecret(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name. Its representation shows no value."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"PutSecret(name={self.name!r})"


class ListSecrets(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class DeleteSecret(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    name: str


class SecretOperations:
    """The operations, with the store that they work on."""

    def __init__(self, secrets: LocalSecrets) -> None:
        self._secrets = secrets

    def put_secret(self, context: RequestContext, request: PutSecret) -> Document:
        """Give a secret a new value. Tasks that start from now on get it; running ones keep the old one."""
        try:
            with context.transaction() as transaction:
                secret = self._secrets.put(transaction, request.name, request.value, context.ids.uuid())
        except InvalidSecret as error:
            raise InvalidParameterException(f"Invalid secret: {error}.") from None
        return {"secret": _render(secret, context.read.names)}

    def list_secrets(self, context: RequestContext, _request: ListSecrets) -> Document:
        """Every secret with its versions, without values."""
        secrets = context.read.all(Secret)
        return {"secrets": [_render(secrets[name], context.read.names) for name in sorted(secrets)]}

    def delete_secret(self, context: RequestContext, request: DeleteSecret) -> Document:
        """Forget a secret with all its versions."""
        secret = self._secrets.find(context.read, request.name)
        if secret is None:
            raise ResourceNotFoundException(f"There is no secret {request.name}.")
        with context.transaction() as transaction:
            transaction.delete(Secret, secret.name, "deleted")
        return {}

    def typed(self) -> dict[str, tuple[type[msgspec.Struct], Any]]:
        """Every operation with the record that its input is decoded into."""
        return {
            "PutSecret": (PutSecret, self.put_secret),
            "ListSecrets": (ListSecrets, self.list_secrets),
            "DeleteSecret": (DeleteSecret, self.delete_secret),
        }


def _render(secret: Secret, names: Names) -> Document:
    return {
        "name": secret.name,
        "arn": secret_arn(secret.name, names),
        "parameterArn": parameter_arn(secret.name, names),
        "createdAt": secret.created_at,
        "changedAt": secret.versions[0].created_at,
        "versions": [
            {"versionId": version.id, "createdAt": version.created_at, "stages": list(version.stages)}
            for version in secret.versions
        ],
    }
