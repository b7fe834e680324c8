"""Inputs that the service model allows, however odd: what handlers must be ready for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from tests.unit.api.output_shapes import ecs_model

TEXTS = st.one_of(
    st.sampled_from(
        ["", "web", "side", "ALL", "arn:aws:s3:::b/a.env", "80-90", "1 vCPU", "512", "/data", "٣"]
    ),
    st.text(max_size=4),
)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 80, 128, 65_535, 65_536, 2**31 - 1]), st.integers(-(2**31), 2**31 - 1)
)


def inputs(operation: str, **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Inputs of an operation with all, or only a few, of its members; `fixed` ones are there as given."""
    shape = ecs_model().operation_model(operation).input_shape
    few = st.sets(st.sampled_from(sorted(shape.members)), max_size=3).flatmap(
        lambda names: _structure(shape, names | set(shape.required_members))
    )
    return (few | _value(shape)).map(lambda request: {**request, **fixed})


def _value(shape: Any) -> st.SearchStrategy[Any]:
    match shape.type_name:
        case "structure":
            return _structure(shape, shape.members)
        case "list":
            return st.lists(_deferred(shape.member), max_size=2)
        case "map":
            return st.dictionaries(TEXTS, _deferred(shape.value), max_size=2)
        case "string":
            return st.sampled_from(shape.enum) if shape.enum else TEXTS
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            return NUMBERS
        case "double" | "float":
            return st.floats(allow_nan=False, allow_infinity=False)
        case kind:
            raise AssertionError(f"no inputs of type {kind}")


def _structure(shape: Any, names: Collection[str]) -> st.SearchStrategy[dict[str, Any]]:
    members = {name: _deferred(shape.members[name]) for name in shape.members if name in names}
    required = {name: members.pop(name) for name in shape.required_members}
    return st.fixed_dictionaries(required, optional=members)


def _deferred(shape: Any) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: _value(shape))
