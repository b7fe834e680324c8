"""Pages of a list, by keyset: a token is the last key, so what comes and goes meanwhile shifts nothing."""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Iterable

import msgspec

from controller.api.errors import InvalidParameterException


class _Token(msgspec.Struct, frozen=True, array_like=True):
    operation: str
    last_key: str


def page(
    keys: Iterable[str],
    next_token: str | None,
    max_results: int | None,
    *,
    default: int,
    maximum: int,
    operation: str,
    descending: bool = False,
    known_up_to: str | None = None,
) -> tuple[list[str], str | None]:
    """One page of `keys` in their order, and the token of the next page, None at the end.

    `default` is the page's size when the client names none. Keys are compared as text: pad numbers. With
    `known_up_to` there may be more after that key than `keys` has: the next page goes on from there at most.

    Raises:
        InvalidParameterException: a size out of range, or a token that this operation did not give.
    """
    size = default if max_results is None else max_results
    if not 1 <= size <= maximum:
        raise InvalidParameterException(f"maxResults should be between 1 and {maximum}.")
    if next_token:
        last = last_key(next_token, operation)
        keys = (key for key in keys if (key < last if descending else key > last))
    found = heapq.nlargest(size + 1, keys) if descending else heapq.nsmallest(size + 1, keys)
    if len(found) <= size:
        return found, None if known_up_to is None else _encode(operation, known_up_to)
    return found[:size], _encode(operation, found[size - 1])


def _encode(operation: str, last_key: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(_Token(operation, last_key))).decode()


def last_key(next_token: str, operation: str) -> str:
    """The key after which the page of a token begins.

    Raises:
        InvalidParameterException: this operation did not give the token.
    """
    try:
        token = msgspec.json.decode(base64.b64decode(next_token, altchars=b"-_", validate=True), type=_Token)
    except (ValueError, binascii.Error):
        raise InvalidParameterException("Invalid nextToken.") from None
    if token.operation != operation:
        raise InvalidParameterException("Invalid nextToken.")
    return token.last_key
