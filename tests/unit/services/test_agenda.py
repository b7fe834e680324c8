"""What is looked at when."""

from __future__ import annotations

from controller.services.agenda import Agenda
from controller.services.ages import Ages
from tests.support.clock import FakeClock


def test_marked_keys_are_due_once_and_in_order() -> None:
    agenda = Agenda()
    for key in ("b", "a", "b"):
        agenda.mark(key, 0.0)
    assert [agenda.next(0.0), agenda.next(0.0), agenda.next(0.0)] == ["b", "a", None]


def test_a_key_becomes_due_at_the_earliest_time_that_was_asked_for() -> None:
    agenda = Agenda()
    agenda.mark_at("a", 9.0)
    agenda.mark_at("a", 5.0)
    agenda.mark_at("a", 7.0)
    assert agenda.next_time() == 5.0
    assert agenda.next(4.9) is None
    assert agenda.next(5.0) == "a"
    assert agenda.next(100.0) is None
    assert agenda.next_time() is None


def test_a_key_that_is_held_back_waits_whoever_marks_it() -> None:
    agenda = Agenda()
    agenda.hold("a", 5.0)
    agenda.mark("a", 1.0)
    agenda.mark_at("a", 2.0)
    assert agenda.next(4.9) is None
    assert agenda.next(5.0) == "a"
    agenda.mark("a", 5.0)
    assert agenda.next(5.0) == "a"


def test_a_forgotten_key_is_not_looked_at() -> None:
    agenda = Agenda()
    agenda.mark("a", 0.0)
    agenda.mark_at("a", 1.0)
    agenda.forget("a")
    assert agenda.next(2.0) is None


def test_an_age_grows_with_the_monotonic_clock_alone() -> None:
    clock = FakeClock()
    ages = Ages(clock)
    since = clock.now() - 10
    assert ages.of("t", since) == 10
    clock.advance(5)
    clock.jump_wall(-3600)
    assert ages.of("t", since) == 15
    assert ages.remaining("t", since, 20) == 5
    assert ages.remaining("t", since, 15) == 0


def test_an_age_is_never_negative_and_is_forgotten_when_nobody_asks() -> None:
    clock = FakeClock()
    ages = Ages(clock)
    future = clock.now() + 60
    assert ages.of("t", future) == 0
    ages.forget_unasked()
    clock.jump_wall(100)
    assert ages.of("t", future) == 0
    ages.forget_unasked()
    ages.forget_unasked()
    assert ages.of("t", future) == 40
