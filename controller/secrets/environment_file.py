"""Environment files: lines of KEY=VALUE. Pure."""

from __future__ import annotations

from collections.abc import Sequence

COMMENT = "#"


def parse_environment_file(text: str) -> dict[str, str]:
    """The variables of a file, as ECS reads it.

    A line is taken to the letter: quotes and blanks belong to the value, which may hold further `=`. Lines
    that begin with `#`, and lines without a name or without a value, are passed over. The last line of a name
    counts.
    """
    found = {}
    for line in text.removeprefix("\ufeff").splitlines():
        name, _, value = line.partition("=")
        if name and value and not line.startswith(COMMENT):
            found[name] = value
    return found


def merged(files: Sequence[dict[str, str]]) -> dict[str, str]:
    """The variables of several files: of those with one name, that of the first file counts."""
    together: dict[str, str] = {}
    for variables in files:
        together = variables | together
    return together
