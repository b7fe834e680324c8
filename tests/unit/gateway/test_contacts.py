"""Signs of life on fake time, and what is booked of them."""

from __future__ import annotations

import asyncio

import pytest

from controller.gateway.contacts import SWEEP_INTERVAL_S, Contacts
from controller.state.entities import InstanceConnection
from controller.state.kernel import State
from tests.support.clock import FakeClock
from tests.unit.gateway.samples import instance

HERE = ("default", instance().id)


@pytest.fixture
def contacts(state: State, fake_clock: FakeClock) -> Contacts:
    """Contacts of a controller that has just begun to listen."""
    return Contacts(state, fake_clock, 3.0)


def booked(state: State) -> InstanceConnection:
    """What the state says about the instance's connection."""
    connection = state.read().get(InstanceConnection, instance().key)
    assert connection is not None
    return connection


async def watch(contacts: Contacts, seconds: float) -> list[str]:
    """Let time pass, looking at the contacts as the gateway does; what is to be cut at the end."""
    dead: list[str] = []
    for _ in range(round(seconds / SWEEP_INTERVAL_S)):
        await asyncio.sleep(SWEEP_INTERVAL_S)
        dead = contacts.sweep()
    return dead


async def test_a_new_connection_is_connected_and_not_synchronised(state: State, contacts: Contacts) -> None:
    contacts.opened(instance())
    assert (booked(state).connected, booked(state).synchronised) == (True, False)
    contacts.synchronised(*HERE)
    assert booked(state).synchronised


async def test_silence_for_three_intervals_disconnects_and_a_frame_connects_again(
    state: State, contacts: Contacts
) -> None:
    contacts.opened(instance())
    contacts.synchronised(*HERE)
    await watch(contacts, 8.5)
    assert booked(state).connected
    await watch(contacts, 1)
    assert not booked(state).connected
    contacts.sign(*HERE)
    await watch(contacts, SWEEP_INTERVAL_S)
    assert (booked(state).connected, booked(state).synchronised) == (True, True)


async def test_calls_of_the_api_are_signs_of_life(state: State, contacts: Contacts) -> None:
    contacts.opened(instance())
    for _ in range(10):
        await watch(contacts, 5)
        contacts.sign(*HERE)
    assert booked(state).connected


async def test_a_connection_that_stays_silent_is_to_be_cut(contacts: Contacts) -> None:
    contacts.opened(instance())
    assert await watch(contacts, 29.5) == []
    assert await watch(contacts, 1) == [instance().key]


async def test_a_closed_connection_counts_for_three_more_seconds(state: State, contacts: Contacts) -> None:
    contacts.opened(instance())
    contacts.closed(*HERE)
    await watch(contacts, 2.5)
    assert booked(state).connected
    await watch(contacts, 0.5)
    assert not booked(state).connected


async def test_an_agent_that_reconnects_in_time_was_never_disconnected(
    state: State, contacts: Contacts
) -> None:
    contacts.opened(instance())
    since = booked(state).changed_at
    for _ in range(5):
        contacts.closed(*HERE)
        await watch(contacts, 2)
        contacts.opened(instance())
        await watch(contacts, 2)
    assert (booked(state).connected, booked(state).changed_at) == (True, since)


async def test_a_host_that_goes_down_disconnects_at_once_until_it_is_back(
    state: State, contacts: Contacts
) -> None:
    contacts.opened(instance())
    contacts.host_down(*HERE)
    assert not booked(state).connected
    contacts.sign(*HERE)
    await watch(contacts, 1)
    assert not booked(state).connected
    contacts.closed(*HERE)
    contacts.opened(instance())
    assert booked(state).connected


async def test_after_a_stall_of_the_process_nobody_is_silent(
    state: State, contacts: Contacts, fake_clock: FakeClock
) -> None:
    contacts.opened(instance())
    await watch(contacts, 1)
    fake_clock.advance(120)
    assert contacts.sweep() == []
    assert booked(state).connected
    await watch(contacts, 2.5)
    assert booked(state).connected
    await watch(contacts, 1)
    assert not booked(state).connected


async def test_a_jump_of_the_wall_clock_disconnects_nobody(
    state: State, contacts: Contacts, fake_clock: FakeClock
) -> None:
    contacts.opened(instance())
    fake_clock.jump_wall(86_400)
    await watch(contacts, 1)
    assert booked(state).connected


async def test_a_skewed_clock_is_shown_and_lives(
    state: State, contacts: Contacts, fake_clock: FakeClock
) -> None:
    fake_clock.advance(10)
    contacts.skewed(*HERE, -3600.0)
    assert (booked(state).connected, booked(state).clock_skew_s) == (False, -3600.0)
    assert contacts.last_sign(*HERE) == fake_clock.monotonic()
    contacts.opened(instance())
    assert booked(state).clock_skew_s == 0.0


async def test_a_forgotten_instance_leaves_nothing(state: State, contacts: Contacts) -> None:
    contacts.opened(instance())
    contacts.forget(*HERE)
    assert state.read().get(InstanceConnection, instance().key) is None
    assert contacts.last_sign(*HERE) is None
    assert contacts.target_interval_s == 3.0


async def test_what_the_agent_says_about_its_container_runtime_is_booked_with_the_time_of_the_change(
    state: State, contacts: Contacts, fake_clock: FakeClock
) -> None:
    contacts.opened(instance())
    for said in ("OK", "IMPAIRED"):
        await asyncio.sleep(5)
        changed_at = fake_clock.now()
        contacts.runtime_status(*HERE, said)
        await asyncio.sleep(5)
        contacts.runtime_status(*HERE, said)
        assert (booked(state).runtime_status, booked(state).runtime_changed_at) == (said, changed_at)
