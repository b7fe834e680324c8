"""Who the agent is towards a registry, and the credentials that its operator set for all tasks."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from agent.engine.image_reference import parse_reference

AUTH_TYPES = ("dockercfg", "docker")
_SCHEMES = ("https://", "http://")
_API_PATHS = ("/v1", "/v2")
_HUB_KEYS = ("index.docker.io", "registry-1.docker.io")


class RegistryCredentials(msgspec.Struct, frozen=True, gc=False):
    """A name and a password for one pull. Neither is ever written to disk, logged or shown."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "RegistryCredentials(***)"


class StaticCredentials:
    """``ECS_ENGINE_AUTH_DATA``: credentials by registry, or by the beginning of a repository."""

    def __init__(self, by_prefix: Mapping[str, RegistryCredentials]) -> None:
        """``by_prefix`` maps ``registry.lan`` or ``registry.lan/team`` to credentials."""
        self._by_prefix = dict(by_prefix)

    @classmethod
    def parse(cls, auth_type: str, auth_data: str) -> "StaticCredentials":
        """Read the two settings; both empty mean none.

        ``dockercfg`` is the content of that file (``auth`` holds name and password in base64), ``docker``
        has ``username`` and ``password`` apart. Raises ``ValueError`` with a sentence that quotes nothing
        secret.
        """
        if not auth_type and not auth_data:
            return cls({})
        if auth_type not in AUTH_TYPES:
            raise ValueError(f"ECS_ENGINE_AUTH_TYPE={auth_type!r}: accepted are {', '.join(AUTH_TYPES)}")
        try:
            entries = msgspec.json.decode(auth_data, type=dict[str, dict[str, Any]])
        except msgspec.DecodeError:
            raise ValueError(
                "ECS_ENGINE_AUTH_DATA cannot be used: accepted is a JSON object of objects by registry"
            ) from None
        read = _from_dockercfg if auth_type == "dockercfg" else _from_docker
        return cls({_prefix(key): read(key, entry) for key, entry in entries.items()})

    def of(self, image: str) -> RegistryCredentials | None:
        """The credentials for an image: those of the longest entry that its name begins with."""
        repository = parse_reference(image).full_repository
        found = [p for p in self._by_prefix if repository == p or repository.startswith(p + "/")]
        return self._by_prefix[max(found, key=len)] if found else None


def _prefix(key: str) -> str:
    """``https://registry.lan/v1/`` and the like as the beginning of a repository's full name."""
    for scheme in _SCHEMES:
        key = key.removeprefix(scheme)
    key = key.rstrip("/")
    for path in _API_PATHS:
        key = key.removesuffix(path)
    host, slash, rest = key.partition("/")
    return ("docker.io" if host in _HUB_KEYS else host) + slash + rest


def _from_docker(key: str, entry: Mapping[str, Any]) -> RegistryCredentials:
    username, password = entry.get("username"), entry.get("password")
    if not isinstance(username, str) or not isinstance(password, str):
        raise ValueError(f"ECS_ENGINE_AUTH_DATA: the entry of {key!r} needs username and password")
    return RegistryCredentials(username, password)


def _from_dockercfg(key: str, entry: Mapping[str, Any]) -> RegistryCredentials:
    try:
        text = base64.b64decode(entry.get("auth") or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError):
        text = ""
    username, colon, password = text.partition(":")
    if not colon:
        raise ValueError(f"ECS_ENGINE_AUTH_DATA: auth of {key!r} is not name:password in base64")
    return RegistryCredentials(username, password.rstrip("\0"))
