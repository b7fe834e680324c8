"""Placement strategies as ECS writes them, read into plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

ZONE_ATTRIBUTE = "ecs.availability-zone"
"""The attribute that ECS spreads over when nobody chose a strategy."""

StrategyType = Literal["random", "spread", "binpack"]


class Strategy(msgspec.Struct, frozen=True, gc=False):
    """One item of a strategy chain."""

    type: StrategyType
    field: str = ""
    """For binpack `cpu` or `memory`; for spread the name of an attribute, or "" for the instance itself."""


class InvalidStrategy(ValueError):
    """A strategy that ECS does not have; the message says which and why."""


DEFAULT_STRATEGIES = (Strategy("spread", ZONE_ATTRIBUTE), Strategy("spread", ""))
"""What ECS does for a service without strategies: over zones, then where fewest of its tasks are."""


def parse_strategies(documents: Iterable[Mapping[str, Any]]) -> tuple[Strategy, ...]:
    """Strategies from the API's `placementStrategy` list, in their order.

    Raises:
        InvalidStrategy: a type or field that does not exist.
    """
    return tuple(_parse(document) for document in documents)


def _parse(document: Mapping[str, Any]) -> Strategy:
    kind = document.get("type", "random")
    field = document.get("field") or ""
    if kind == "random":
        return Strategy("random")
    if kind == "binpack":
        if field.lower() not in ("cpu", "memory"):
            raise InvalidStrategy(
                f"The binpack placement strategy takes the field cpu or memory, not {field!r}."
            )
        return Strategy("binpack", field.lower())
    if kind == "spread":
        return Strategy("spread", _spread_attribute(field))
    raise InvalidStrategy(f"There is no placement strategy of type {kind!r}.")


def _spread_attribute(field: str) -> str:
    if field.lower() in ("instanceid", "host"):
        return ""
    prefix, colon, name = field.partition(":")
    if prefix.lower() == "attribute" and colon and name:
        return name
    raise InvalidStrategy(
        f"The spread placement strategy takes the field instanceId, host or attribute:NAME, not {field!r}."
    )
