"""When an agent counts as connected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.gateway.liveness import (
    MAX_HEARTBEATS_PER_S,
    SILENT_INTERVALS,
    Contact,
    heartbeat_interval,
    is_connected,
    is_dead,
    next_interval,
)


def opened(last_sign: float = 0.0, interval_s: float = 3.0) -> Contact:
    """An agent with an open connection."""
    contact = Contact(last_sign, interval_s)
    contact.opened = True
    return contact


LONG_AGO = -1000.0


def test_an_agent_is_disconnected_after_three_silent_intervals() -> None:
    assert is_connected(opened(), 8.9, LONG_AGO)
    assert not is_connected(opened(), 9.0, LONG_AGO)


def test_after_a_stall_nobody_is_silent_without_a_full_interval_of_grace() -> None:
    assert is_connected(opened(), 62.9, resumed_at=60.0)
    assert not is_connected(opened(), 63.0, resumed_at=60.0)


def test_a_closed_socket_counts_as_disconnected_after_a_moment() -> None:
    contact = Contact(0.0, 3.0)
    contact.closed_at = 10.0
    assert is_connected(contact, 12.9, LONG_AGO)
    assert not is_connected(contact, 13.0, LONG_AGO)


def test_an_agent_that_only_calls_the_api_is_not_connected() -> None:
    assert not is_connected(Contact(0.0, 3.0), 0.1, LONG_AGO)


def test_a_host_that_goes_down_is_gone_at_once() -> None:
    contact = opened()
    contact.host_down = True
    assert not is_connected(contact, 0.0, LONG_AGO)


def test_a_connection_is_cut_after_ten_silent_intervals() -> None:
    assert not is_dead(opened(), 29.9, LONG_AGO)
    assert is_dead(opened(), 30.0, LONG_AGO)


def test_up_to_nine_hundred_agents_are_asked_every_three_seconds() -> None:
    assert heartbeat_interval(3.0, 0) == 3.0
    assert heartbeat_interval(3.0, 900) == 3.0
    assert heartbeat_interval(3.0, 901) > 3.0


@pytest.mark.parametrize("sessions", [1_000, 2_500, 5_000, 7_000])
def test_the_fleet_costs_at_most_three_hundred_heartbeats_a_second(sessions: int) -> None:
    interval = heartbeat_interval(3.0, sessions)
    assert sessions / interval <= MAX_HEARTBEATS_PER_S + 1e-6
    assert interval <= sessions / MAX_HEARTBEATS_PER_S * 1.11


@given(st.floats(3, 25), st.floats(3, 25))
def test_a_shrinking_interval_declares_nobody_silent(current: float, target: float) -> None:
    # The last heartbeat was sent, and answered, one present interval ago.
    assert SILENT_INTERVALS * next_interval(current, target) > current
