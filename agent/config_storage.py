"""The agent's settings about images and disks."""

import dataclasses
from collections.abc import Callable
from dataclasses import field
from typing import Any

from agent import config_values as values


def _setting(default: Any, env: str, parse: Callable[[str], Any], *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"env": env, "parse": parse, "flag": None})


@dataclasses.dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """What is fetched from registries."""

    engine_auth_type: str = _setting("", "ECS_ENGINE_AUTH_TYPE", values.one_of("dockercfg", "docker"))
    """The form of ``engine_auth_data``: ``dockercfg`` or ``docker``."""

    engine_auth_data: str = _setting("", "ECS_ENGINE_AUTH_DATA", str, secret=True)
    """Credentials for registries, as JSON. Tasks with ``repositoryCredentials`` of their own use those."""
