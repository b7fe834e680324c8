"""Records as the tests of the wire need them."""

from __future__ import annotations

from typing import Any

from controller.wire.records import WireRecord

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "a" * 32


def record(number: int, sender: str, kind: str, /, **members: Any) -> WireRecord:
    """A message of ACS that passed `number` quarters of a second after the beginning of time."""
    return WireRecord(
        number=number,
        at=number / 4,
        way="acs",
        connection=1,
        cluster="default",
        instance="1" * 32,
        sender=sender,  # type: ignore[arg-type]
        type=kind,
        message=members,
    )
