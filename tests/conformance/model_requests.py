"""Requests made from the service model: right ones, ones with something wrong in them, and mere bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.unit.api.model_inputs import Known, inputs

WRONG_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**40,
    2**70,
    1e308,
    float("nan"),
    "",
    "x" * 5_000,
    "\0",
    "\ud800",
    "arn:aws:ecs:us-east-1:000000000000:cluster/",
    "arn:aws:ecs:us-east-1:000000000000:service/default/web/more",
    "arn:aws:iam::1:x",
    [],
    {},
    [None],
    [[]],
    ["x"] * 1_000,
    {"x": None},
    [{}],
)
"""What clients send by mistake, or to see what happens."""

WRONG_BODIES = (b"", b"[]", b"null", b"{", b'{"cluster":', b"\xff\xfe", b'"web"', b'{"a":1}x', b"[" * 10_000)
"""Bodies that are no JSON object."""


def bodies(operation: str, known: Known) -> st.SearchStrategy[bytes]:
    """Bodies of requests for an operation, right and wrong."""
    right = inputs(operation, known)
    return st.one_of(right.map(_body), broken(right).map(_body), st.sampled_from(WRONG_BODIES))


@st.composite
def broken(draw: st.DrawFn, requests: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Requests in which one or two values are wrong, or gone."""
    request = draw(requests)
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(request))
        if not places:
            return {"cluster": deepcopy(draw(st.sampled_from(WRONG_VALUES)))}
        holder, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            holder[key] = deepcopy(draw(st.sampled_from(WRONG_VALUES)))
        else:
            del holder[key]
    return request


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document where a value stands: what holds it, and its key or position there."""
    if not isinstance(value, dict | list):
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        yield from _places(inner)


def _body(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode()
