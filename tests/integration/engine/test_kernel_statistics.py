"""What is read from the kernel against what the Docker engine says of the same containers meanwhile."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from agent.engine import views
from agent.engine.cgroups import Places, Running
from agent.engine.samples import Sample, machine_cpu_s, take_sample
from agent.engine.statistics import Usage
from agent.protocol import acs, tcs
from agent.protocol.clock import SystemClock
from tests.integration.engine.harness import Harness

pytestmark = pytest.mark.engine

_MIB = 1024 * 1024
_WINDOW_S = 4.0
_CLOSE = 0.05
_CPUS = 2
BUSY = "trap 'exit 0' TERM; while :; do :; done"
HOLDS_MEMORY = "x=$(head -c 30000000 /dev/zero | tr '\\0' a); trap 'exit 0' TERM; while :; do sleep 0.1; done"
RECEIVES = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
PORT = 4242


class Compared:
    """One container: our figures in TCS's shape, and Docker's own at both ends of the window."""

    def __init__(
        self, metric: tcs.ContainerMetric, samples: list[Sample], dockers: list[dict[str, Any]]
    ) -> None:
        self.metric = metric
        self.samples = samples
        self.dockers = dockers

    @property
    def seconds(self) -> float:
        """Between Docker's two answers, by its own clock."""
        first, last = (datetime.fromisoformat(each["read"]).timestamp() for each in self.dockers)
        return last - first

    def rate(self, *path: str) -> float:
        """How much a counter of Docker's grew per second."""
        first, last = (_at(each, path) for each in self.dockers)
        return (last - first) / self.seconds


def _at(body: Any, path: tuple[str, ...]) -> float:
    for key in path:
        body = body[key]
    return float(body)


async def compare(harness: Harness, *tasks: acs.Task) -> list[Compared]:
    """Read the container of each task both ways, wait, and read them all both ways again."""
    known = {each.task_arn: each for each in views.running_containers(harness.engine.records())}
    running = [known[task.arn or ""] for task in tasks]
    places, clock, usage = Places(), SystemClock(), Usage(_CPUS)
    samples: dict[str, list[Sample]] = {each.docker_id: [] for each in running}
    dockers: dict[str, list[dict[str, Any]]] = {each.docker_id: [] for each in running}
    try:
        for pause in (_WINDOW_S, 0.0):
            for each in running:
                samples[each.docker_id].append(_sample(places, each, clock))
                dockers[each.docker_id].append(
                    await asyncio.to_thread(_docker_stats, harness, each.docker_id)
                )
            usage.add([(each, samples[each.docker_id][-1]) for each in running])
            await asyncio.sleep(pause)
    finally:
        places.keep_only(set())
    found = []
    for each in running:
        (metric,) = usage.metrics(each.task_arn, since=0.0)
        found.append(Compared(metric, samples[each.docker_id], dockers[each.docker_id]))
    return found


def _sample(places: Places, running: Running, clock: SystemClock) -> Sample:
    place = places.of(running)
    assert place is not None, "the cgroup of a container on this machine is found"
    return take_sample(place, running, clock.monotonic(), machine_cpu_s(places.proc))


def _docker_stats(harness: Harness, docker_id: str) -> dict[str, Any]:
    body: dict[str, Any] = harness.client.api.stats(docker_id, stream=False, one_shot=True)
    return body


@contextlib.asynccontextmanager
async def datagrams_to(address: str) -> AsyncIterator[None]:
    """A steady stream of datagrams to a container that nobody there listens to."""

    async def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while True:
                sender.sendto(bytes(1000), (address, PORT))
                await asyncio.sleep(0.002)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_cpu_memory_and_network_are_dockers_within_five_percent(harness: Harness) -> None:
    busy, holding, receiving = [
        await harness.run(harness.shell(script, memory=128)) for script in (BUSY, HOLDS_MEMORY, RECEIVES)
    ]
    await harness.eventually(lambda: _memory(harness, holding) > 25 * _MIB, "the container holds its memory")
    async with datagrams_to(harness.inspect(receiving)["NetworkSettings"]["IPAddress"]):
        await asyncio.sleep(0.5)
        of_busy, of_holding, of_receiving = await compare(harness, busy, holding, receiving)

    assert of_busy.metric.cpu_stats_set is not None
    dockers = 100 * of_busy.rate("cpu_stats", "cpu_usage", "total_usage") / 1e9 / _CPUS
    assert of_busy.metric.cpu_stats_set.sum == pytest.approx(dockers, rel=_CLOSE)
    # And exactly: what Docker counted lies between what was read before and after it.
    first, last = (each["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 for each in of_busy.dockers)
    assert of_busy.samples[0].cpu_s <= first <= of_busy.samples[1].cpu_s <= last

    assert of_holding.metric.memory_stats_set is not None
    memory = of_holding.dockers[1]["memory_stats"]
    used = memory["usage"] - memory["stats"].get("total_cache", memory["stats"].get("inactive_file", 0))
    assert of_holding.metric.memory_stats_set.sum * _MIB == pytest.approx(used, rel=_CLOSE)

    network = of_receiving.metric.network_stats_set
    assert network is not None
    assert network.rx_bytes_per_second is not None
    assert network.rx_bytes_per_second.sum > 10_000
    received = of_receiving.rate("networks", "eth0", "rx_bytes")
    assert network.rx_bytes_per_second.sum == pytest.approx(received, rel=_CLOSE)


def _memory(harness: Harness, task: acs.Task) -> float:
    (found,) = harness.containers_of(task)
    return float(_docker_stats(harness, found)["memory_stats"]["usage"])


async def test_statistics_on_request_are_dockers_in_every_figure_that_stands_still(harness: Harness) -> None:
    task = await harness.run(harness.container(command=("/bin/sleep", "600")))
    (docker_id,) = harness.containers_of(task)
    await harness.eventually(
        lambda: _docker_stats(harness, docker_id)["pids_stats"] == {"current": 1}, "the runtime has left"
    )
    ours = await harness.engine.container_stats(docker_id, harness.docker_name(task))
    dockers = _docker_stats(harness, docker_id)

    assert ours is not None
    for part in ("id", "name", "pids_stats", "num_procs", "storage_stats"):
        assert ours[part] == dockers[part]
    assert ours["memory_stats"]["limit"] == dockers["memory_stats"]["limit"] == 32 * _MIB
    assert ours["cpu_stats"]["online_cpus"] == dockers["cpu_stats"]["online_cpus"]
    assert ours["cpu_stats"]["cpu_usage"].keys() == dockers["cpu_stats"]["cpu_usage"].keys()
    assert ours["cpu_stats"]["system_cpu_usage"] == pytest.approx(
        dockers["cpu_stats"]["system_cpu_usage"], rel=0.01
    )
    assert dockers["memory_stats"]["stats"].keys() <= ours["memory_stats"]["stats"].keys()
    assert ours["networks"].keys() == dockers["networks"].keys()
    assert ours["networks"]["eth0"].keys() == dockers["networks"]["eth0"].keys()
