"""Forty tasks from payload to all reported RUNNING, against the engine's own limit: the same create and start
calls through Docker's SDK with eight threads. Rounds of both alternate; their ratio is the figure.

Full mode: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_task_start.py`.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import docker
import pytest

from agent.engine.container_body import create_body
from agent.engine.definition import plan_task
from agent.protocol import acs
from agent.protocol.arn import last_segment
from tests.benchmarks.fed_agent import FedAgent, fed_agent, remove_containers, sleeping_task
from tests.benchmarks.report import FULL, machine_facts, publish
from tests.support.fixtures import TrackProcess

pytestmark = pytest.mark.engine

TASKS = 40 if FULL else 6
ROUNDS = 9 if FULL else 2
THREADS = 8
NETWORKS = ("bridge", "host", "none") if FULL else ("bridge",)
TARGET = 1.15
_names = count()


def engine_limit(tasks: list[acs.Task]) -> float:
    """Seconds that the engine needs for the same containers when nobody is in between."""
    calls = []
    for task in tasks:
        plan = plan_task(task, 30.0, lambda: f"{next(_names):020x}")
        parent = f"/ecs/{last_segment(task.arn or '')}"
        body = create_body(task, plan, task.containers[0], "benchmark", None, parent)
        calls.append((plan.containers[0].docker_name, body))

    def make(call: tuple[str, dict[str, object]]) -> None:
        api.create_container_from_config(call[1], call[0])  # type: ignore[no-untyped-call]
        api.start(call[0])

    with closing(docker.APIClient(num_pools=THREADS)) as api, ThreadPoolExecutor(THREADS) as pool:
        began = time.perf_counter()
        list(pool.map(make, calls))
        return time.perf_counter() - began


async def one_round(agent: FedAgent, image: str, network: str, *, agent_first: bool) -> tuple[float, float]:
    """Seconds of the agent and of the engine alone."""

    async def through_the_agent() -> float:
        tasks = [sleeping_task(agent.cluster, image, network) for _ in range(TASKS)]
        seconds = await agent.start(tasks)
        await agent.clear(tasks)
        return seconds

    async def by_the_engine_alone() -> float:
        tasks = [sleeping_task(agent.cluster, image, network) for _ in range(TASKS)]
        seconds = await asyncio.to_thread(engine_limit, tasks)
        await asyncio.to_thread(remove_containers, agent.engine, agent.cluster)
        return seconds

    if agent_first:
        return await through_the_agent(), await by_the_engine_alone()
    alone = await by_the_engine_alone()
    return await through_the_agent(), alone


@pytest.mark.timeout(1800 if FULL else 120)
async def test_tasks_start_as_fast_as_the_engine_lets_them(
    tmp_path: Path,
    processes: TrackProcess,
    cluster_name: str,
    busybox_image: str,
    docker_client: docker.DockerClient,
) -> None:
    facts = machine_facts(docker_client)
    rows, results = [], {}
    environment = {"ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1s"}
    async with fed_agent(tmp_path, processes, cluster_name, docker_client, **environment) as agent:
        for network in NETWORKS:
            if FULL:  # what is loaded once is no task's
                await one_round(agent, busybox_image, network, agent_first=True)
            pairs = [
                await one_round(agent, busybox_image, network, agent_first=number % 2 == 0)
                for number in range(ROUNDS)
            ]
            ratios = [ours / alone for ours, alone in pairs]
            medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
            rows.append([network, *medians, statistics.median(ratios), min(ratios), max(ratios), TARGET])
            results[network] = {"agent_s": [a for a, _ in pairs], "engine_s": [e for _, e in pairs]}
    publish(
        f"{TASKS} tasks, payload to reported RUNNING, against the engine alone ({THREADS} threads)",
        ("network", "agent s", "engine s", "ratio", "least", "most", "target"),
        rows,
        {"tasks": TASKS, "rounds": ROUNDS, "machine": facts, "results": results},
    )
