"""What commands print: tables for people, JSON for scripts."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from agent.protocol.arn import last_segment

_COLOURS = {
    "ACTIVE": "green",
    "COMPLETED": "green",
    "DRAINING": "yellow",
    "FAILED": "red",
    "HEALTHY": "green",
    "INACTIVE": "red",
    "IN_PROGRESS": "yellow",
    "PENDING": "yellow",
    "PROVISIONING": "yellow",
    "QUARANTINED": "magenta",
    "RUNNING": "green",
    "STOPPED": "red",
    "UNHEALTHY": "red",
    "no": "red",
    "yes": "green",
}
_AGES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "m"))


def print_json(value: Any) -> None:
    """Print ECS's own shapes, indented."""
    click.echo(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. States are coloured on a terminal, unless `NO_COLOR` is set."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    for row in (headings, *rows):
        cells = [_colour(cell, cell.ljust(width)) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip(), color=_colours_wanted())


def _colour(word: str, cell: str) -> str:
    return click.style(cell, fg=_COLOURS[word]) if word in _COLOURS else cell


def _colours_wanted() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def age(since: float | None, now: float) -> str:
    """How long ago that was, as `42s`, `5m`, `3h` or `12d`; `-` if never."""
    if since is None:
        return "-"
    seconds = max(0.0, now - since)
    for length, unit in _AGES:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def short(arn: str | None) -> str:
    """The id or the name at the end of an ARN; `-` if there is none."""
    return last_segment(arn) if arn else "-"
