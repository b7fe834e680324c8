"""Reading JSON as Go does: names in any case, ``null`` as good as absent, unknown members ignored."""

from functools import lru_cache
from typing import Any, get_args

import msgspec


def convert(value: Any, kind: type[msgspec.Struct]) -> msgspec.Struct:
    """Turn decoded JSON into a ``kind``.

    Raises ``msgspec.ValidationError`` where a value has the wrong type.
    """
    return msgspec.convert(_fold(value, kind), kind)


def _fold(value: Any, kind: Any) -> Any:
    """``value`` with the member names of its shapes spelt as in the schema.

    Keys of plain maps stay as they are.
    """
    if isinstance(value, list):
        item = _element(kind)
        return [_fold(each, item) for each in value]
    struct = _struct(kind)
    if struct is None or not isinstance(value, dict):
        return value
    members = _members(struct)
    folded = {}
    for key, each in value.items():
        member = members.get(key.lower())
        if member is not None and each is not None:
            name, member_kind = member
            folded[name] = _fold(each, member_kind)
    return folded


@lru_cache(maxsize=256)
def _members(struct: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    return {
        field.encode_name.lower(): (field.encode_name, field.type) for field in msgspec.structs.fields(struct)
    }


@lru_cache(maxsize=256)
def _struct(kind: Any) -> type[msgspec.Struct] | None:
    """The shape that an annotation such as ``Shape | None`` speaks of, or None."""
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


@lru_cache(maxsize=256)
def _element(kind: Any) -> Any:
    """The element type of ``tuple[T, ...]`` or ``tuple[T, ...] | None``."""
    for candidate in (kind, *get_args(kind)):
        arguments = get_args(candidate)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return arguments[0]
    return Any
