"""What one pass of the agent over the statistics of all containers costs, on real containers.

Beside it stands the same through Docker's own API, one call a container, of a few of them.
Full mode, with 100 containers: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_statistics_pass.py`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import docker
import pytest
from prometheus_client import CollectorRegistry

from agent.engine.cgroups import Running
from agent.engine.docker import Docker
from agent.engine.sampler import Sampler
from agent.engine.statistics import Usage
from agent.protocol.clock import SystemClock
from tests.benchmarks.report import FULL, machine_facts, publish
from tests.support.engine import TEST_LABELS

pytestmark = pytest.mark.engine

CONTAINERS = 100 if FULL else 4
PASSES = {"kernel": 50 if FULL else 3, "Docker's API": 3 if FULL else 1}
INTERVAL_S = 5.0
_ASKED = 10
_THREADS = 8
TARGET_PERCENT = 1.0
"""Of one core, with 100 containers."""


def started(client: docker.DockerClient, image: str) -> list[Running]:
    """Idle containers on the bridge."""

    def start(number: int) -> Running:
        body = client.containers.run(image, detach=True, labels=TEST_LABELS, command=["/bin/sleep", "3600"])
        return Running(str(body.id), f"task/{number}", "idle", own_network=True)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(start, range(CONTAINERS)))


def removed(client: docker.DockerClient, containers: list[Running]) -> None:
    """Take them away again."""
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda each: client.api.remove_container(each.docker_id, force=True), containers))


async def measured(sampler: Sampler, passes: int) -> list[float]:
    """CPU milliseconds of each pass, the kernel's part included."""
    costs = []
    for _ in range(passes):
        before = time.process_time()
        await sampler.take()
        costs.append(1000 * (time.process_time() - before))
        await asyncio.sleep(0.05)
    return costs


@pytest.mark.timeout(600 if FULL else 120)
async def test_a_pass_over_all_containers_is_cheap(
    busybox_image: str, docker_client: docker.DockerClient
) -> None:
    clock, facts = SystemClock(), machine_facts(docker_client)
    engine = Docker(CollectorRegistry(), clock)
    running = started(docker_client, busybox_image)
    ways = {"kernel": (Path("/sys/fs/cgroup"), running), "Docker's API": (Path("/nowhere"), running[:_ASKED])}
    try:
        await engine.open()
        costs = {}
        for way, (root, containers) in ways.items():
            usage = Usage(os.cpu_count() or 1)
            sampler = Sampler(engine, clock, usage, partial(tuple, containers), INTERVAL_S, root)
            await sampler.take()
            costs[way] = await measured(sampler, PASSES[way])
            assert len(usage.latest()) == len(containers), f"every container has a sample from {way}"
            sampler.close()
    finally:
        await engine.close()
        removed(docker_client, running)
    rows = []
    for way, samples in costs.items():
        count, median = len(ways[way][1]), statistics.median(samples)
        each = 1000 * median / count
        rows.append([way, count, min(samples), median, max(samples), each, each * 100 / INTERVAL_S / 1e4])
    publish(
        "one pass over the statistics of all containers, CPU time of the agent",
        ["from", "containers", "min ms", "median ms", "max ms", "µs each", "% of a core, 100 every 5 s"],
        rows,
        {"machine": facts, "passes_ms": costs, "target_percent": TARGET_PERCENT},
    )
