"""Checks a request's input against the service model: once, exactly, before a handler sees it.

What comes out holds members of the model only: unknown members and nulls are dropped, whole floats given for
integers are integers. A wrong JSON type is a SerializationException, all else an InvalidParameterException.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from controller.api.errors import InvalidParameterException, SerializationException
from controller.api.service_model import ServiceModel, Shape
from controller.state.entities import Document

MAX_DEPTH = 64
"""Deepest nesting that is followed; the deepest input of the model is below twenty."""

_INTEGER_BITS = {"integer": 31, "long": 63}

_UNICODE_CLASSES = {
    # `\w` is letters, digits and the underscore, which the model's patterns with these classes allow as well.
    r"\p{L}": r"\w",
    r"\p{N}": "",
    r"\p{Z}": "\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


def parse_body(body: bytes) -> Document:
    """The JSON object in a body; an empty body is an empty object.

    Raises:
        SerializationException: it is no JSON object.
    """
    if not body:
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SerializationException(f"The request body is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise SerializationException("The request body must be a JSON object.")
    return document


_ACCOUNT_SETTING = "{value} should be one of [{choices}]"
_LAUNCH_TYPE = "launch type should be one of [{choices}]"
_WORDS_OF_ECS = {
    ("CreateServiceRequest", "launchType"): _LAUNCH_TYPE,
    ("CreateTaskSetRequest", "launchType"): _LAUNCH_TYPE,
    ("DeleteAccountSettingRequest", "name"): _ACCOUNT_SETTING,
    ("ListAccountSettingsRequest", "name"): _ACCOUNT_SETTING,
    ("ListAttributesRequest", "targetType"): "targetType must be {choices}",
    ("PutAccountSettingDefaultRequest", "name"): _ACCOUNT_SETTING,
    ("PutAccountSettingRequest", "name"): _ACCOUNT_SETTING,
    ("RunTaskRequest", "launchType"): _LAUNCH_TYPE,
    ("UpdateContainerInstancesStateRequest", "status"): (
        "Container instance status should be one of [ACTIVE, DRAINING]"
    ),
}
"""What ECS itself says of a value that is none of the choices, by input and member."""


class _WrongChoice(Exception):
    """A value that is none of those that a member can have."""

    def __init__(self, path: str, value: str, choices: tuple[str, ...]) -> None:
        super().__init__(path)
        self._path = path
        self._members = {"path": path, "value": value[:128], "choices": ",".join(choices)}

    def in_words_of(self, input_shape: str) -> str:
        """The message for an input."""
        words = _WORDS_OF_ECS.get((input_shape, self._path), "{path} should be one of [{choices}]")
        return words.format(**self._members)


class InputValidator:
    """Checks input against the shapes of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._shapes = model.shapes
        self._checks: dict[str, Callable[[Shape, Any, str, int], Any]] = {
            "structure": self._structure,
            "list": self._list,
            "map": self._map,
            "string": _string,
            "integer": _integer,
            "long": _integer,
            "float": _number,
            "double": _number,
            "timestamp": _number,
            "boolean": _boolean,
        }

    def check(self, shape: str, value: Any) -> Document:
        """The input as handlers get it.

        Raises:
            SerializationException: a value of a wrong JSON type.
            InvalidParameterException: a missing member, or a value outside of what is allowed.
        """
        try:
            checked: Document = self._value(shape, value, "", 0)
        except _WrongChoice as wrong:
            raise InvalidParameterException(wrong.in_words_of(shape)) from None
        return checked

    def _value(self, name: str, value: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise SerializationException(f"{path} is nested too deeply.")
        shape = self._shapes[name]
        return self._checks[shape.type](shape, value, path, depth)

    def _structure(self, shape: Shape, value: Any, path: str, depth: int) -> Document:
        if not isinstance(value, dict):
            _wrong_type(path, value, "a structure")
        if shape.document:
            return value
        checked = {}
        for member, reference in shape.members.items():
            given = value.get(member)
            if given is not None:
                inner = f"{path}.{member}" if path else member
                checked[member] = self._value(reference.shape, given, inner, depth + 1)
        for member in shape.required:
            if member not in checked:
                raise InvalidParameterException(f"{path}.{member}".lstrip(".") + " can not be null.")
        if shape.union and len(checked) != 1:
            members = ",".join(shape.members)
            raise InvalidParameterException(f"{path} should have exactly one of [{members}]")
        return checked

    def _list(self, shape: Shape, value: Any, path: str, depth: int) -> list[Any]:
        if not isinstance(value, list):
            _wrong_type(path, value, "a list")
        assert shape.member is not None
        item = shape.member.shape
        items = [
            self._value(item, given, f"{path}[{position}]", depth + 1)
            for position, given in enumerate(value)
            if given is not None
        ]
        _check_range(shape, len(items), path, "items")
        return items

    def _map(self, shape: Shape, value: Any, path: str, depth: int) -> Document:
        if not isinstance(value, dict):
            _wrong_type(path, value, "a map")
        assert shape.key is not None
        assert shape.value is not None
        key, inner = shape.key.shape, shape.value.shape
        return {
            self._value(key, name, f"{path} key", depth + 1): self._value(
                inner, given, f"{path}.{name[:128]}", depth + 1
            )
            for name, given in value.items()
            if given is not None
        }


def _string(shape: Shape, value: Any, path: str, depth: int) -> str:  # noqa: ARG001  # one signature for all
    if not isinstance(value, str):
        _wrong_type(path, value, "a String")
    if "\0" in value:
        raise InvalidParameterException(f"{path} can not hold a NUL character.")
    if shape.enum and value not in shape.enum:
        raise _WrongChoice(path, value, shape.enum)
    _check_range(shape, len(value), path, "characters")
    if shape.pattern is not None and not _pattern(shape.pattern).fullmatch(value):
        raise InvalidParameterException(f"{path} should match the pattern {shape.pattern}")
    return value


def _integer(shape: Shape, value: Any, path: str, depth: int) -> int:  # noqa: ARG001
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        _wrong_type(path, value, "an Integer")
    bits = _INTEGER_BITS[shape.type]
    if not -(2**bits) <= value < 2**bits:
        raise SerializationException(f"{path}: {value!s:.40} does not fit into {bits + 1} bits.")
    _check_range(shape, value, path)
    return value


def _number(shape: Shape, value: Any, path: str, depth: int) -> float:  # noqa: ARG001
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        _wrong_type(path, value, "a Timestamp" if shape.type == "timestamp" else "a Double")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SerializationException(f"{path} is too large a number.")
    _check_range(shape, number, path)
    return number


def _boolean(shape: Shape, value: Any, path: str, depth: int) -> bool:  # noqa: ARG001
    if not isinstance(value, bool):
        _wrong_type(path, value, "a Boolean")
    return value


def _check_range(shape: Shape, size: float, path: str, unit: str = "") -> None:
    low, high = shape.min, shape.max
    if (low is None or size >= low) and (high is None or size <= high):
        return
    if high is None:
        bounds = f"at least {low:g}"
    elif low is None:
        bounds = f"at most {high:g}"
    else:
        bounds = f"between {low:g} and {high:g}"
    wanted = f"have {bounds} {unit}" if unit else f"be {bounds}"
    raise InvalidParameterException(f"{path} should {wanted}.")


@lru_cache
def _pattern(pattern: str) -> re.Pattern[str]:
    for unicode_class, characters in _UNICODE_CLASSES.items():
        pattern = pattern.replace(unicode_class, characters)
    return re.compile(pattern)


_JSON_TYPES = {str: "STRING", bool: "BOOLEAN", int: "NUMBER", float: "NUMBER", list: "LIST", dict: "OBJECT"}


def _wrong_type(path: str, value: Any, wanted: str) -> NoReturn:
    given = _JSON_TYPES.get(type(value), "NULL")
    raise SerializationException(f"{path}: {given}_VALUE can not be converted to {wanted}")
