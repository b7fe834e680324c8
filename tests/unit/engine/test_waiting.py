"""Tasks that wait for what others hold: told why, let in when it is free, given up after a while."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from typing import cast

import pytest

from agent.checkpoint import Checkpoint, StoredTask
from agent.engine.admission import HostLedger, Occupant, Others, Port, Request
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.others import HostWatch
from agent.engine.states import Status, StopRequested
from agent.engine.transitions import initial_state
from agent.engine.waiting import LOOK_AGAIN_S, WaitingRoom
from agent.protocol.resources import Resources
from tests.support.clock import FakeClock
from tests.unit.engine.builders import ARN, acs_task, plan

PATIENCE_S = 30.0
HTTP: Port = (80, "tcp")
NGINX = "process nginx (pid 7)"


class Host:
    """What others hold, as the test says."""

    def __init__(self) -> None:
        self.others = Others({HTTP: Occupant(everywhere=True)})
        self.looks = 0
        self.names_looked_for = 0

    def look(self, *, at_ports: bool) -> Others:
        assert at_ports, "the task wants one"
        self.looks += 1
        return self.others

    async def find_names(self, ports: Collection[Port]) -> None:
        self.names_looked_for += 1
        if HTTP in ports:
            self.others = Others({HTTP: Occupant(everywhere=True, name=NGINX)})


class Paper:
    """A checkpoint that is written to in no time."""

    def put(self, task: StoredTask) -> "asyncio.Future[None]":
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written


class Scene:
    """A waiting room on a host where nginx has port 80, with one task that wants it."""

    def __init__(self, clock: FakeClock) -> None:
        self.host = Host()
        self.book = TaskBook(
            cast("Checkpoint", Paper()), lambda *_: None, lambda record: self.room.release(record.plan.arn)
        )
        ledger = HostLedger(Resources(1024, 1024, frozenset({22}), frozenset(), 0))
        self.room = WaitingRoom(ledger, cast("HostWatch", self.host), self.book, clock, PATIENCE_S)
        task_plan = plan()
        self.record = TaskRecord(acs_task(), task_plan, initial_state(task_plan))
        self.book.add(self.record)
        self.room.ask(Request(ARN, Resources(10, 16, frozenset({80}), frozenset(), 0)))


@pytest.fixture
async def scene(fake_clock: FakeClock) -> AsyncIterator[Scene]:
    scene = Scene(fake_clock)
    watching = asyncio.create_task(scene.room.watch())
    yield scene
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def test_a_task_that_waits_for_others_is_told_who_they_are(scene: Scene) -> None:
    scene.room.admit()
    assert scene.record.state.waits_for == (
        "waits for host port 80/tcp, held by something that is not of this agent"
    )
    await asyncio.sleep(LOOK_AGAIN_S / 2)

    assert scene.record.state.waits_for == f"waits for host port 80/tcp, held by {NGINX}"
    (delay,) = scene.room.account().waiting
    assert (delay.task_arn, delay.reason) == (ARN, scene.record.state.waits_for)


async def test_it_is_let_in_once_they_have_let_go_and_nobody_looks_any_more(scene: Scene) -> None:
    scene.room.admit()
    await asyncio.sleep(PATIENCE_S / 2)
    scene.host.others = Others()
    await asyncio.sleep(2 * LOOK_AGAIN_S)

    assert scene.record.state.admitted
    assert scene.record.state.waits_for == ""
    assert scene.room.account().held.keys() == {ARN}
    looks = scene.host.looks
    await asyncio.sleep(100 * LOOK_AGAIN_S)
    assert scene.host.looks == looks


async def test_nobody_looks_any_more_once_it_is_told_to_stop(scene: Scene) -> None:
    scene.room.admit()
    await asyncio.sleep(LOOK_AGAIN_S)
    scene.book.apply(scene.record, StopRequested(at=1.0))
    await asyncio.sleep(LOOK_AGAIN_S)

    names_looked_for = scene.host.names_looked_for
    await asyncio.sleep(100 * LOOK_AGAIN_S)
    assert scene.host.names_looked_for == names_looked_for


async def test_after_a_while_it_is_given_up_with_the_reason(scene: Scene) -> None:
    scene.room.admit()
    await asyncio.sleep(PATIENCE_S - LOOK_AGAIN_S)
    assert scene.room.account().waiting
    await asyncio.sleep(2 * LOOK_AGAIN_S)

    assert scene.record.state.known is Status.STOPPED
    assert scene.record.state.reason == (
        f"ResourceInitializationError: waited 30 s for host port 80/tcp, held by {NGINX}; free it, or give "
        "the task another one"
    )
    assert scene.room.account().waiting == ()


async def test_ports_of_tasks_are_spoken_for_before_they_are_bound(scene: Scene) -> None:
    assert scene.room.ports_spoken_for() == {22}
    scene.host.others = Others()
    scene.room.admit()
    assert scene.room.ports_spoken_for() == {22, 80}


async def test_who_waits_for_the_agents_own_tasks_waits_as_long_as_it_takes(scene: Scene) -> None:
    scene.host.others = Others()
    scene.room.hold("other", Resources(1024, 0, frozenset(), frozenset(), 0))
    scene.room.admit()
    await asyncio.sleep(10 * PATIENCE_S)
    assert scene.record.state.waits_for == "waits for 10 CPU units (0 free)"

    scene.room.release("other")
    assert scene.record.state.admitted
