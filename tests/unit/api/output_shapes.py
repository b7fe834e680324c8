"""Checks that an answer is one that clients can read, against botocore's own model."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session


@cache
def ecs_model() -> Any:
    """botocore's model of ECS."""
    return botocore.session.get_session().get_service_model("ecs")


def assert_output(operation: str, answer: dict[str, Any]) -> None:
    """Every member of an answer is in the model, of its type, and none is null."""
    _assert_shape(ecs_model().operation_model(operation).output_shape, answer, operation)


def _assert_shape(shape: Any, value: Any, path: str) -> None:
    match shape.type_name:
        case "structure":
            assert isinstance(value, dict), path
            unknown = set(value) - set(shape.members)
            assert not unknown, f"{path} has members that the model does not know: {unknown}"
            for member, inner in value.items():
                _assert_shape(shape.members[member], inner, f"{path}.{member}")
        case "list":
            assert isinstance(value, list | tuple), path
            for item in value:
                _assert_shape(shape.member, item, f"{path}[]")
        case "map":
            assert all(isinstance(key, str) for key in value), path
            for inner in value.values():
                _assert_shape(shape.value, inner, f"{path}{{}}")
        case "string":
            assert isinstance(value, str), path
            assert not shape.enum or value in shape.enum, f"{path}: {value}"
        case "timestamp":
            assert isinstance(value, float | int), path
        case "integer" | "long":
            assert isinstance(value, int), path
            assert not isinstance(value, bool), path
        case "boolean":
            assert isinstance(value, bool), path
        case "double" | "float":
            assert isinstance(value, float | int), path
        case kind:
            raise AssertionError(f"{path} is of the unexpected type {kind}")
