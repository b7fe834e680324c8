"""The controller's own secrets: encrypted, with their versions and stages, and never shown."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import InvalidParameterException, ResourceNotFoundException
from controller.api.operations.secrets import DeleteSecret, ListSecrets, PutSecret, SecretOperations
from controller.keyring import Keyring, WrongKey
from controller.secrets.store import KEPT_VERSIONS, LocalSecrets, NoSuchVersion
from controller.state.codec import encode
from controller.state.entities import Secret
from tests.unit.api.conftest import Api

VALUE = "correct horse battery staple"


@pytest.fixture
def secrets() -> LocalSecrets:
    """The store of secrets of a data directory."""
    return LocalSecrets(Keyring(b"k" * 32))


class Operations:
    """The operations, called on a state."""

    def __init__(self, api: Api, secrets: LocalSecrets) -> None:
        self.api = api
        self.operations = SecretOperations(secrets)

    def put(self, name: str, value: str = VALUE) -> dict[str, Any]:
        secret: dict[str, Any] = self.operations.put_secret(self.api.context(), PutSecret(name, value))[
            "secret"
        ]
        return secret

    def stored(self, name: str) -> Secret:
        found = self.api.state.read().get(Secret, name)
        assert found is not None
        return found


@pytest.fixture
def operations(api: Api, secrets: LocalSecrets) -> Operations:
    """The operations."""
    return Operations(api, secrets)


async def test_a_value_is_kept_encrypted_and_found_again(
    operations: Operations, secrets: LocalSecrets
) -> None:
    shown = operations.put("/db/password")
    stored = operations.stored("db/password")
    assert secrets.value(stored) == VALUE
    for text in (encode(stored), repr(stored), str(shown), repr(PutSecret("a", VALUE))):
        assert VALUE not in text


async def test_another_key_file_does_not_open_it(operations: Operations) -> None:
    operations.put("db")
    with pytest.raises(WrongKey):
        LocalSecrets(Keyring(b"x" * 32)).value(operations.stored("db"))


async def test_versions_are_found_by_stage_and_by_id(operations: Operations, secrets: LocalSecrets) -> None:
    first = operations.put("db", "one")["versions"][0]["versionId"]
    operations.put("db", "two")
    shown = operations.put("db", "three")
    stored = operations.stored("db")
    assert [version["stages"] for version in shown["versions"]] == [["AWSCURRENT"], ["AWSPREVIOUS"], []]
    assert secrets.value(stored) == "three"
    assert secrets.value(stored, stage="AWSPREVIOUS") == "two"
    assert secrets.value(stored, version_id=first) == "one"
    for wrong in ({"stage": "AWSPENDING"}, {"version_id": "x"}, {"version_id": first, "stage": "AWSCURRENT"}):
        with pytest.raises(NoSuchVersion):
            secrets.value(stored, **wrong)


async def test_only_so_many_versions_are_kept(operations: Operations) -> None:
    for number in range(KEPT_VERSIONS + 3):
        operations.put("db", str(number))
    assert len(operations.stored("db").versions) == KEPT_VERSIONS


async def test_the_list_shows_names_and_versions_and_no_value(operations: Operations, api: Api) -> None:
    operations.put("b")
    operations.put("a/b")
    listed = operations.operations.list_secrets(api.context(), ListSecrets())
    assert [entry["name"] for entry in listed["secrets"]] == ["a/b", "b"]
    assert VALUE not in str(listed)
    assert "ciphertext" not in str(listed)


async def test_a_deleted_secret_is_gone(operations: Operations, api: Api) -> None:
    operations.put("db")
    operations.operations.delete_secret(api.context(), DeleteSecret("/db"))
    assert api.state.read().get(Secret, "db") is None
    with pytest.raises(ResourceNotFoundException):
        operations.operations.delete_secret(api.context(), DeleteSecret("db"))


@pytest.mark.parametrize("name", ["", "/", "a//b", "a b", "a:b", "ä", "x" * 513, "//a", "a/"])
async def test_a_name_that_no_reference_could_say_is_refused(operations: Operations, name: str) -> None:
    with pytest.raises(InvalidParameterException, match="Invalid secret: a secret cannot be named"):
        operations.put(name)


@pytest.mark.parametrize("value", ["", "x" * 65_537])
async def test_a_value_of_the_wrong_length_is_refused_without_showing_it(
    operations: Operations, value: str
) -> None:
    with pytest.raises(InvalidParameterException) as caught:
        operations.put("db", value)
    assert "1 to 65536 bytes" in caught.value.message
    assert "xx" not in caught.value.message
