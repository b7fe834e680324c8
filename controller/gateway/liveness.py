"""When an agent counts as connected. Pure rules over monotonic times."""

from __future__ import annotations

import math

MAX_HEARTBEATS_PER_S = 300.0
"""Heartbeats a second over the whole fleet; beyond, the interval grows."""

MAX_INTERVAL_S = 25.0
"""The ECS agent ends a connection on which it hears nothing for a minute."""

INTERVAL_STEP = 1.1
"""Intervals grow in steps, so that agents are told of a new one rarely."""

SILENT_INTERVALS = 3
"""Heartbeat intervals without any sign of life after which an agent counts as disconnected."""

DEAD_INTERVALS = 10
"""Intervals of silence after which a connection is cut: its other end is gone, or stuck for good."""

CLOSED_GRACE_S = 3.0
"""Seconds that an agent whose connection ended may take to come back without counting as disconnected."""


def heartbeat_interval(base_s: float, sessions: int) -> float:
    """Seconds between heartbeats to each of so many agents."""
    needed = sessions / MAX_HEARTBEATS_PER_S
    if needed <= base_s:
        return base_s
    steps = math.ceil(math.log(needed / base_s, INTERVAL_STEP))
    return min(base_s * INTERVAL_STEP**steps, max(MAX_INTERVAL_S, base_s))


def next_interval(current_s: float, target_s: float) -> float:
    """The interval after the present one. It shrinks by half at most: silence is measured in intervals, and
    the last heartbeat was sent a whole present interval ago."""
    return max(target_s, current_s / 2)


class Contact:
    """What is known about the contact with one agent, over all its connections."""

    __slots__ = ("acknowledged", "closed_at", "host_down", "interval_s", "last_sign", "opened")

    def __init__(self, now: float, interval_s: float) -> None:
        self.last_sign = now
        """Monotonic time of the last frame or call."""
        self.interval_s = interval_s
        """Heartbeat interval in force on the open connection."""
        self.opened = False
        """Whether an ACS connection is open."""
        self.closed_at: float | None = None
        """Monotonic time at which the last ACS connection ended; None if there was none."""
        self.host_down = False
        """Whether the agent said goodbye because its host goes down."""
        self.acknowledged: set[str] = set()
        """Ids of tasks that the agent acknowledged and has not reported on yet."""


def is_connected(contact: Contact, now: float, resumed_at: float) -> bool:
    """Whether the agent counts as connected. `resumed_at` is when this process began to listen, or listened
    again after a stall: what came in meanwhile is read first, and nobody is declared silent for what this
    side did not hear."""
    if contact.host_down:
        return False
    if contact.opened:
        silence = now - contact.last_sign
        return silence < SILENT_INTERVALS * contact.interval_s or now - resumed_at < contact.interval_s
    return contact.closed_at is not None and now - max(contact.closed_at, resumed_at) < CLOSED_GRACE_S


def is_dead(contact: Contact, now: float, resumed_at: float) -> bool:
    """Whether the open connection should be cut."""
    return contact.opened and now - max(contact.last_sign, resumed_at) >= DEAD_INTERVALS * contact.interval_s
