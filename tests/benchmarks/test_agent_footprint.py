"""What the agent costs its machine: memory (PSS, shared pages counted in part) idle, with 40 and with 100
containers, and CPU time idle and with 100 containers that do nothing. Telemetry is on.

Full mode: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_agent_footprint.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import docker
import psutil
import pytest

from tests.benchmarks.fed_agent import FedAgent, fed_agent, sleeping_task
from tests.benchmarks.report import FULL, machine_facts, publish
from tests.support.fixtures import TrackProcess

pytestmark = pytest.mark.engine

CONTAINERS = (0, 40, 100) if FULL else (0, 2)
SETTLE_S = 60.0 if FULL else 1.0
"""After a change, before anything is measured: statistics and telemetry have filled their windows by then."""
WINDOW_S = 60.0 if FULL else 2.0
"""CPU time is taken over this long."""
REFERENCE_RSS_MIB = {0: 43.0, 40: 56.0}
"""amazon-ecs-agent's on a machine of two cores; its shared pages hardly count."""
TARGET_MIB = {0: 1.25 * REFERENCE_RSS_MIB[0], 40: 1.0 * REFERENCE_RSS_MIB[40]}
TARGET_CPU_PERCENT = 0.5


async def cpu_percent(process: psutil.Process) -> float:
    """Share of one core over the window, children included."""
    before = process.cpu_times()
    await asyncio.sleep(WINDOW_S)
    after = process.cpu_times()
    return 100.0 * sum(b - a for a, b in zip(before[:2], after[:2], strict=True)) / WINDOW_S


async def measured(agent: FedAgent, image: str) -> list[list[object]]:
    """A row for each number of containers."""
    process = psutil.Process(agent.process.pid)
    rows: list[list[object]] = []
    for before, now in itertools.pairwise((0, *CONTAINERS)):
        if now > before:
            await agent.start([sleeping_task(agent.cluster, image) for _ in range(now - before)])
        await asyncio.sleep(SETTLE_S)
        percent = await cpu_percent(process)
        memory = process.memory_full_info()
        rows.append(
            [
                now,
                memory.pss / 2**20,
                memory.rss / 2**20,
                TARGET_MIB.get(now, "-"),
                percent * 60 / 100,
                percent,
                TARGET_CPU_PERCENT,
            ]
        )
    return rows


@pytest.mark.timeout(1200 if FULL else 120)
async def test_the_agent_costs_little(
    tmp_path: Path,
    processes: TrackProcess,
    cluster_name: str,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> None:
    facts = machine_facts(docker_client)
    async with fed_agent(tmp_path, processes, cluster_name, docker_client) as agent:
        rows = await measured(agent, busybox_image)
    columns = ("containers", "PSS MiB", "RSS MiB", "target", "CPU s/min", "CPU %", "target")
    publish(
        "memory and CPU time of the agent",
        columns,
        rows,
        {"window_s": WINDOW_S, "machine": facts, "columns": columns, "rows": rows},
    )
    assert all(isinstance(row[1], float) and row[1] > 1.0 for row in rows)
