"""Inputs that the service model allows, however odd: what handlers must be ready for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


Known = Mapping[str, Sequence[str]]
"""Texts that mean something to the state at hand, by the name of the member that takes them."""

NOTHING: Known = {}


def inputs(operation: str, known: Known = NOTHING, /, **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Inputs of an operation with all, or only a few, of its members; `fixed` ones are there as given."""
    shape = ecs_model().operation_model(operation).input_shape
    if not shape.members:
        return st.just(dict(fixed))
    few = st.sets(st.sampled_from(sorted(shape.members)), max_size=3).flatmap(
        lambda names: _structure(shape, names | set(shape.required_members), known)
    )
    return (few | _structure(shape, shape.members, known)).map(lambda request: {**request, **fixed})


def _value(shape: Any, name: str, known: Known) -> st.SearchStrategy[Any]:
    """Values of a shape that a member called `name` takes."""
    match shape.type_name:
        case "structure":
            return _structure(shape, shape.members, known)
        case "list":
            return st.lists(_deferred(shape.member, name, known), max_size=2)
        case "map":
            return st.dictionaries(TEXTS, _deferred(shape.value, "", known), max_size=2)
        case "string":
            texts = st.sampled_from(shape.enum) if shape.enum else TEXTS
            return st.sampled_from(known[name]) | texts if name in known else texts
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            return NUMBERS
        case "double" | "float":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "timestamp":
            return NUMBERS
        case kind:
            raise AssertionError(f"no inputs of type {kind}")


def _structure(shape: Any, names: Collection[str], known: Known) -> st.SearchStrategy[dict[str, Any]]:
    members = {name: _deferred(shape.members[name], name, known) for name in shape.members if name in names}
    required = {name: members.pop(name) for name in shape.required_members}
    return st.fixed_dictionaries(required, optional=members)


def _deferred(shape: Any, name: str, known: Known) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: _value(shape, name, known))
