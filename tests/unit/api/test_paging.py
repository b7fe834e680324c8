"""Keyset pages."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.errors import InvalidParameterException
from controller.api.paging import page


def one_page(
    keys: set[str], token: str | None, size: int | None, **options: Any
) -> tuple[list[str], str | None]:
    return page(keys, token, size, default=10, maximum=100, operation="ListThings", **options)


def all_pages(keys: set[str], size: int, **options: Any) -> list[str]:
    seen: list[str] = []
    token: str | None = None
    while True:
        found, token = one_page(keys, token, size, **options)
        assert len(found) <= size
        seen += found
        if token is None:
            return seen


@given(st.sets(st.text(max_size=6), max_size=30), st.integers(1, 10))
def test_pages_together_hold_every_key_once_and_in_order(keys: set[str], size: int) -> None:
    assert all_pages(keys, size) == sorted(keys)
    assert all_pages(keys, size, descending=True) == sorted(keys, reverse=True)


@given(st.sets(st.text(max_size=3), min_size=4, max_size=20), st.sets(st.text(max_size=3), max_size=20))
def test_what_comes_and_goes_between_pages_shifts_nothing(before: set[str], after: set[str]) -> None:
    first, token = one_page(before, None, 2)
    rest: list[str] = []
    while token is not None:
        found, token = one_page(after, token, 2)
        rest += found
    assert not set(first) & set(rest)
    assert set(rest) == {key for key in after if key > first[-1]}


def test_the_default_size_holds_when_none_is_asked_for() -> None:
    assert len(one_page({str(number) for number in range(20)}, None, None)[0]) == 10


@pytest.mark.parametrize("size", [0, -1, 101])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(InvalidParameterException, match="between 1 and 100"):
        one_page({"a"}, None, size)


@pytest.mark.parametrize(
    "token", ["x", "%%%", "e30=", "é", base64.urlsafe_b64encode(b'["ListOther","a"]').decode(), "W10="]
)
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidParameterException, match="Invalid nextToken"):
        one_page({"a"}, token, 5)
