"""What nobody who watches may see is replaced before a message leaves the controller. Pure.

Masked are the secret parts of credentials, and every value of a mapping that may hold one: environments,
secrets, options of drivers and of logs. Their names stay, to be understood. A text that is JSON, as
`dockerConfig` has it, is masked inside; one that should be and is not is masked as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

MASK = "***"

_SECRET_MEMBERS = frozenset(
    {
        "authorization",
        "instanceidentitydocumentsignature",
        "password",
        "registrypassword",
        "secretaccesskey",
        "sessiontoken",
        "token",
    }
)
_MAPPINGS = frozenset(
    {
        "driveropts",
        "environment",
        "environmentfiles",
        "labels",
        "logoptions",
        "options",
        "properties",
        "secrets",
    }
)
"""Members whose values are masked and whose names stay."""
_JSON_TEXTS = frozenset({"config", "hostconfig", "overrides"})
_ENVIRONMENT_LISTS = frozenset({"env", "environment"})


def masked(members: Any) -> Any:
    """A message's members with nothing secret in them. Names of members count in any case."""
    if isinstance(members, Mapping):
        return {str(name): _member(str(name).casefold(), value) for name, value in members.items()}
    if isinstance(members, list | tuple):
        return [masked(each) for each in members]
    return members


def _member(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _SECRET_MEMBERS:
        return MASK
    # Docker's own options of a log driver are a mapping named like the text that holds them.
    if isinstance(value, Mapping) and (name in _MAPPINGS or name == "config"):
        return {str(key): MASK for key in value}
    if isinstance(value, list | tuple) and name in _ENVIRONMENT_LISTS:
        return [_variable(each) for each in value]
    if isinstance(value, str) and name in _JSON_TEXTS:
        return _text(value)
    return masked(value)


def _variable(variable: Any) -> Any:
    """`NAME=value`, or ECS's name and value."""
    if isinstance(variable, str):
        return f"{variable.partition('=')[0]}={MASK}"
    if isinstance(variable, Mapping):
        return {str(key): value if str(key).casefold() == "name" else MASK for key, value in variable.items()}
    return MASK


def _text(text: str) -> str:
    if not text:
        return text
    try:
        inside = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return MASK
    if not isinstance(inside, dict):
        return MASK
    return msgspec.json.encode(masked(inside)).decode()
