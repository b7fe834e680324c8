"""Regular expressions from users, kept from running for ever.

A placement constraint's pattern is matched against every instance on the controller's one event loop, and
Python's matcher backtracks: `(a+)+b` can take longer than anybody lives. So the number of ways in which a
pattern can be tried against a text is bounded from above before it is ever used, and one that is too large is
refused.
"""

from __future__ import annotations

import re
import warnings

MAX_PATTERN_LENGTH = 256
MAX_WAYS = 3_000_000
"""About a tenth of a second in the worst case; leaves room for three repeats like `.*` in a row."""
TEXT_LENGTH = 128
"""Longest attribute value; what an unbounded repeat is reckoned with."""

_REPEAT = re.compile(r"([*+?]|\{\d+(?:,\d*)?\})[?+]?")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_ITEM = re.compile(r"\\.|.", re.DOTALL)


class UnsafePattern(ValueError):
    """A regular expression that is malformed or may take too long; the message says which."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """The compiled pattern, to be used with `fullmatch`.

    Raises:
        UnsafePattern: it is no regular expression, or one that may take too long.
    """
    if len(text) > MAX_PATTERN_LENGTH:
        raise UnsafePattern(f"the regular expression is longer than {MAX_PATTERN_LENGTH} characters")
    if _ways(text) > MAX_WAYS:
        raise UnsafePattern("the regular expression has too many repeats and alternatives in a row")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafePattern(f"the regular expression is malformed: {error}") from error


class _Group:
    """In how many ways a group, or the whole pattern, can be tried, as far as it has been read."""

    def __init__(self) -> None:
        self._earlier_alternatives = 0
        self._alternative = 1
        self._last = 1

    def add(self, ways: int) -> None:
        """Take in one more item: a character, a class or a closed group."""
        self._alternative *= self._last
        self._last = ways

    def repeat(self, repeat: str) -> None:
        """Take in a repeat of the last item."""
        if repeat == "?":
            self._last += 1
            return
        least, most = _bounds(repeat)
        if most <= 1:
            return
        if self._last > 1:
            raise UnsafePattern(
                "the regular expression repeats something that can itself match in several ways"
            )
        self._last = most - least + 1

    def end_alternative(self) -> None:
        """Go on with the next alternative."""
        self._earlier_alternatives = self.ways
        self._alternative = self._last = 1

    @property
    def ways(self) -> int:
        """The bound."""
        return self._earlier_alternatives + self._alternative * self._last


def _bounds(repeat: str) -> tuple[int, int]:
    if repeat in ("*", "+"):
        return 0, TEXT_LENGTH
    least, comma, most = repeat.strip("{}").partition(",")
    return int(least), int(most) if most else TEXT_LENGTH if comma else int(least)


def _ways(text: str) -> int:
    groups = [_Group()]
    at = 0
    while at < len(text):
        if repeat := _REPEAT.match(text, at):
            groups[-1].repeat(repeat[1])
            at = repeat.end()
        elif bracket := _CLASS.match(text, at):
            groups[-1].add(1)
            at = bracket.end()
        elif text[at] == "(":
            groups.append(_Group())
            at += _opening_length(text, at)
        else:
            item = _ITEM.match(text, at)
            assert item is not None
            _read_item(item[0], groups)
            at = item.end()
    return groups[-1].ways


def _read_item(item: str, groups: list[_Group]) -> None:
    if item == ")" and len(groups) > 1:
        closed = groups.pop()
        groups[-1].add(closed.ways)
    elif item == "|":
        groups[-1].end_alternative()
    elif len(item) == 2 and item[1] in "123456789":
        raise UnsafePattern("the regular expression refers back to a group")
    else:
        groups[-1].add(1)


def _opening_length(text: str, at: int) -> int:
    """Length of an opening parenthesis with its flags; only plain and non-capturing groups are known."""
    if text.startswith("(?:", at):
        return 3
    if text.startswith("(?", at):
        raise UnsafePattern("the regular expression has a group of a kind that is not supported")
    return 1
