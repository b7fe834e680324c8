"""What one pass of the agent over the statistics of all containers costs, on real containers.

Beside it stands the same through Docker's own API, one call a container. Full mode, with 100 containers:
`HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_statistics_pass.py`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
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
TARGET_PERCENT = 1.0
"""Of one core, with 100 containers."""


def started(client: docker.DockerClient, image: str) -> list[Running]:
    """Idle containers on the bridge."""
    found = []
    for number in range(CONTAINERS):
        body = client.containers.run(image, detach=True, labels=TEST_LABELS, command=["/bin/sleep", "3600"])
        found.append(Running(str(body.id), f"task/{number}", "idle", own_network=True))
    return found


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
    try:
        await engine.open()
        costs = {}
        for way, root in (("kernel", Path("/sys/fs/cgroup")), ("Docker's API", Path("/nowhere"))):
            usage = Usage(os.cpu_count() or 1)
            sampler = Sampler(engine, clock, usage, lambda: running, INTERVAL_S, root)
            await sampler.take()
            costs[way] = await measured(sampler, PASSES[way])
            assert len(usage.latest()) == CONTAINERS, f"every container has a sample from {way}"
            sampler.close()
    finally:
        await engine.close()
        for each in running:
            docker_client.api.remove_container(each.docker_id, force=True)
    rows = []
    for way, samples in costs.items():
        median = statistics.median(samples)
        rows.append(
            [
                way,
                CONTAINERS,
                min(samples),
                median,
                max(samples),
                1000 * median / CONTAINERS,
                median / INTERVAL_S / 10,
            ]
        )
    publish(
        "one pass over the statistics of all containers, CPU time of the agent",
        ["from", "containers", "min ms", "median ms", "max ms", "µs each", "% of a core every 5 s"],
        rows,
        {"machine": facts, "passes_ms": costs, "target_percent": TARGET_PERCENT},
    )
