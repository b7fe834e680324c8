"""Causes of changes and the changes themselves, as loops and the gateway see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from controller.state.entities import Entity

CauseKind = Literal["request", "agent", "decision", "timer", "start"]


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What brought a change about: an API request, an agent's message, a decision of a loop, a timer or the
    controller's start."""

    kind: CauseKind
    id: str = ""
    """Request id, agent message id or the decision's subject."""
    caller: str = ""
    """ARN of the caller or of the container instance."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One durable change of one record. `old` is None for a new record, `new` is None for a removed one."""

    kind: type[Entity]
    key: str
    old: Entity | None
    new: Entity | None
    cause: Cause


Subscriber = Callable[[Sequence[Change]], None]
"""Called on the event loop with the changes of a flush. It only marks what to look at: it neither blocks nor
raises nor writes."""
