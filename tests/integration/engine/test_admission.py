"""Who may use the host, on a real engine and a real kernel: what others hold counts as taken."""

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.engine.admission import HAS_TO_WAIT_ITS_TURN, NOBODY_ELSE
from agent.engine.others import HostWatch
from agent.protocol import acs
from agent.protocol.resources import Resources
from tests.integration.engine.harness import Harness
from tests.support.engine import TEST_LABELS
from tests.support.processes import free_port

pytestmark = pytest.mark.engine

PATIENCE_S = 0.5
LARGE = Resources(cpu=8192, memory=2**30, ports_tcp=frozenset({22}), ports_udp=frozenset(), gpus=0)
"""More than any machine has, as on one whose memory others use."""
MORE_THAN_THERE_IS = 2**29


@contextmanager
def occupied(kind: socket.SocketKind) -> Iterator[int]:
    """A host port that this very process has."""
    with socket.socket(type=kind) as taken:
        taken.bind(("0.0.0.0", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        yield int(taken.getsockname()[1])


def publishing(harness: Harness, port: int, protocol: str = "tcp") -> acs.Task:
    """A task that wants a host port."""
    mapping = acs.PortMapping(container_port=80, host_port=port, protocol=protocol)
    return harness.task(harness.container(port_mappings=(mapping,)))


async def told(harness: Harness, task: acs.Task, words: str) -> None:
    """Wait until a report says that the task waits, in these words."""
    await harness.eventually(
        lambda: any(words in r.reason for r in harness.reports if r.task_arn == task.arn),
        f"'{words}' reported; so far {[r.reason for r in harness.reports]}",
    )


async def test_the_second_task_on_a_host_port_waits_until_the_first_has_stopped(harness: Harness) -> None:
    port = free_port()
    first = publishing(harness, port)
    await harness.engine.accept((first,))
    await harness.reported(first, "RUNNING")
    second = publishing(harness, port)
    await harness.engine.accept((second,))
    waiting = await harness.reported(second, "PENDING")
    assert waiting.reason == f"waits for host port {port}/tcp, held by task {first.arn}"

    await harness.engine.stop_tasks([first.arn or ""])
    await harness.reported(second, "RUNNING")


@pytest.mark.parametrize(("kind", "protocol"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
async def test_a_port_of_another_process_counts_as_taken_and_nobody_else_is_held_up(
    harness: Harness, kind: socket.SocketKind, protocol: str
) -> None:
    with occupied(kind) as port:
        task = publishing(harness, port, protocol)
        await harness.engine.accept((task,))
        await told(harness, task, f"waits for host port {port}/{protocol}, held by process ")
        await told(harness, task, f"(pid {os.getpid()})")
        assert harness.containers_of(task) == []
        await harness.run()

    await harness.reported(task, "RUNNING")
    assert harness.reports[-1].reason == ""


async def test_a_port_of_a_foreign_container_is_waited_for_only_so_long_and_the_container_is_left_alone(
    idle_harness: Harness,
) -> None:
    port, name = free_port(), f"foreign-{idle_harness.cluster}"
    foreign = idle_harness.client.containers.run(
        idle_harness.image, name=name, detach=True, ports={"80/tcp": port}, labels=TEST_LABELS
    )
    await idle_harness.start(host_wait_s=PATIENCE_S)
    try:
        task = publishing(idle_harness, port)
        await idle_harness.engine.accept((task,))
        stopped = await idle_harness.reported(task, "STOPPED")
        foreign.reload()

        assert stopped.reason == (
            f"ResourceInitializationError: waited 0.5 s for host port {port}/tcp, held by container {name}; "
            "free it, or give the task another one"
        )
        assert idle_harness.containers_of(task) == []
        assert foreign.status == "running"
    finally:
        await idle_harness.stop()
        foreign.remove(force=True)


async def test_a_port_that_is_taken_in_the_very_last_moment_stops_the_task_with_the_engines_words(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostWatch, "look", lambda *_, **__: NOBODY_ELSE)  # it was free when it was looked at
    with occupied(socket.SOCK_STREAM) as port:
        task = publishing(harness, port)
        await harness.engine.accept((task,))
        stopped = await harness.reported(task, "STOPPED")

    assert stopped.reason.startswith("CannotStartContainerError: ")
    assert f":{port}: bind: address already in use" in stopped.reason
    assert harness.statuses(task) == ["STOPPED"]


async def test_memory_that_the_machine_does_not_have_available_is_waited_for_in_line(
    idle_harness: Harness,
) -> None:
    await idle_harness.start(capacity=LARGE, host_wait_s=PATIENCE_S)
    try:
        large = idle_harness.task(memory=MORE_THAN_THERE_IS)
        small = idle_harness.task()
        await idle_harness.engine.accept((large,))
        await idle_harness.engine.accept((small,))
        await told(idle_harness, small, HAS_TO_WAIT_ITS_TURN)
        stopped = await idle_harness.reported(large, "STOPPED")

        assert stopped.reason == (
            f"ResourceInitializationError: waited 0.5 s for {MORE_THAN_THERE_IS} MiB of memory, which are "
            "not reserved but in use on the host; ECS_RESERVED_MEMORY tells the controller how much is not "
            "for tasks"
        )
        await idle_harness.reported(small, "RUNNING")
    finally:
        await idle_harness.stop()


async def test_where_memory_in_use_shall_not_count_only_reservations_do(idle_harness: Harness) -> None:
    await idle_harness.start(capacity=LARGE, count_memory_in_use=False)
    try:
        await idle_harness.run(memory=MORE_THAN_THERE_IS)
    finally:
        await idle_harness.stop()


async def test_a_name_of_a_foreign_container_is_never_taken_away(idle_harness: Harness) -> None:
    token = f"{idle_harness.cluster}-name"
    await idle_harness.start(token=lambda: token)
    task = idle_harness.task()
    name = f"ecs-app-{task.version}-web-{token}"
    foreign = idle_harness.client.containers.create(idle_harness.image, name=name, labels=TEST_LABELS)
    try:
        await idle_harness.engine.accept((task,))
        stopped = await idle_harness.reported(task, "STOPPED")

        assert stopped.reason.startswith("CannotCreateContainerError: ")
        assert f'The container name "/{name}" is already in use by container "{foreign.id}"' in stopped.reason
        foreign.reload()
        assert foreign.status == "created"
    finally:
        await idle_harness.stop()
        foreign.remove(force=True)


async def test_what_waits_keeps_its_place_over_a_restart_and_what_runs_its_share(
    idle_harness: Harness,
) -> None:
    port = free_port()
    first, second, third = (publishing(idle_harness, port) for _ in range(3))
    await idle_harness.start()
    await idle_harness.engine.accept((first,))
    await idle_harness.reported(first, "RUNNING")
    for task in (second, third):
        await idle_harness.engine.accept((task,))
    await idle_harness.stop()

    await idle_harness.start()
    try:
        waiting = idle_harness.engine.account().waiting
        assert [(delay.task_arn, delay.reason) for delay in waiting] == [
            (second.arn, f"waits for host port {port}/tcp, held by task {first.arn}"),
            (third.arn, HAS_TO_WAIT_ITS_TURN),
        ]
        for ending, beginning in itertools.pairwise((first, second, third)):
            await idle_harness.engine.stop_tasks([ending.arn or ""])
            await idle_harness.reported(beginning, "RUNNING")
    finally:
        await idle_harness.stop()


async def test_a_gpu_is_asked_of_the_engine_and_one_that_is_not_there_is_said_to_be_so(
    idle_harness: Harness,
) -> None:
    await idle_harness.start(
        capacity=Resources(8192, 16384, frozenset(), frozenset(), 1, frozenset({"GPU-1"}))
    )
    try:
        reasons = {}
        for gpu in ("GPU-1", "GPU-2"):
            association = acs.Association(type="gpu", name=gpu, containers=("web",))
            task = idle_harness.task(associations=(association,))
            await idle_harness.engine.accept((task,))
            reasons[gpu] = (await idle_harness.reported(task, "STOPPED")).reason
        assert 'could not select device driver "nvidia"' in reasons["GPU-1"]  # the test machine has none
        assert reasons["GPU-2"] == "ResourceInitializationError: GPU GPU-2 is not on the instance"
    finally:
        await idle_harness.stop()
