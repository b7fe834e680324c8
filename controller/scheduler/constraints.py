"""Placement constraints as ECS writes them, read into plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from controller.scheduler.query import EVERYTHING, Expression, asks_for_groups, parse


class Constraints(msgspec.Struct, frozen=True):
    """All constraints of a launch together."""

    distinct_instance: bool = False
    """Whether no two tasks of the group may share an instance."""
    members: tuple[Expression, ...] = ()
    """memberOf expressions; an instance must match every one."""

    @property
    def asks_for_groups(self) -> bool:
        """Whether an expression looks at the groups that have tasks on an instance."""
        return any(asks_for_groups(expression) for expression in self.members)


class InvalidConstraint(ValueError):
    """A constraint of a type that ECS does not have."""


UNCONSTRAINED = Constraints()


def parse_constraints(documents: Iterable[Mapping[str, Any]]) -> Constraints:
    """Constraints from the API's `placementConstraints` list; a task definition's are added to its launch's.

    Raises:
        InvalidConstraint: there is no such type.
        QuerySyntaxError: a memberOf expression does not follow the cluster query language.
    """
    distinct, members = False, []
    for document in documents:
        match document.get("type"):
            case "distinctInstance":
                distinct = True
            case "memberOf":
                expression = parse(document.get("expression") or "")
                if expression != EVERYTHING:
                    members.append(expression)
            case kind:
                raise InvalidConstraint(f"There is no placement constraint of type {kind!r}.")
    return Constraints(distinct, tuple(members))
