"""Requests a second and latency of the operations that are called most, over loopback, one keep-alive client.

The controller is a real process with agents that are connected; in full mode it keeps 30,000 tasks on 1,000
instances: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_api_latency.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.clock import SystemClock
from agent.protocol.signing import Credentials
from controller.keyring import load_client_profile
from tests.benchmarks import standing_fleet
from tests.benchmarks.report import FULL
from tests.conformance.front_door import KeepAliveClient
from tests.support.processes import ControllerProcess, ProcessController, clean_environment

INSTANCES = 1_000 if FULL else 100
REQUESTS = 1_000 if FULL else 60
CONNECT_S = 100.0

Request = Callable[[int], dict[str, Any]]

REQUESTS_OF: dict[str, Request] = {
    "DescribeServices": lambda number: {"services": [f"web-{number % (INSTANCES // 10)}"]},
    "ListTasks": lambda number: {"serviceName": f"web-{number % (INSTANCES // 10)}"},
    "RunTask": lambda number: {"taskDefinition": "web", "clientToken": str(number)},
    "SubmitTaskStateChange": lambda number: {
        "task": f"{number % (INSTANCES * standing_fleet.TASKS_PER_INSTANCE):032x}",
        "status": "RUNNING",
        "containers": [{"containerName": "web", "status": "RUNNING", "runtimeId": f"{number:064x}"}],
    },
}
"""The requests of each operation, by number; a state change changes something every time."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[ControllerProcess]:
    """A controller whose cluster is at rest."""
    controller = ControllerProcess(tmp_path / "controller")
    standing_fleet.write_store(controller.data_dir, INSTANCES)
    command = (sys.executable, "-m", standing_fleet.__name__, controller.data_dir, str(INSTANCES))
    agents = ProcessController("fleet", command, tmp_path / "fleet.log", clean_environment())
    controller.start()
    agents.start()
    try:
        yield controller
    finally:
        agents.end()
        controller.end()


async def _wait_until_connected(client: KeepAliveClient) -> None:
    deadline = time.monotonic() + CONNECT_S
    connected = 0
    while connected < INSTANCES:
        assert time.monotonic() < deadline, f"{connected} of {INSTANCES} agents are connected"
        await asyncio.sleep(0.5)
        connected, token = 0, None
        while connected == 0 or token:
            request = {"filter": "agentConnected == true", **({"nextToken": token} if token else {})}
            answer = (await client.call("ListContainerInstances", json.dumps(request).encode())).document
            connected += len(answer["containerInstanceArns"])
            token = answer.get("nextToken")
            if not answer["containerInstanceArns"]:
                break


async def _measure(client: KeepAliveClient, operation: str, count: int) -> list[float]:
    """Seconds of each request."""
    seconds = []
    for number in range(count):
        body = json.dumps(REQUESTS_OF[operation](number)).encode()
        started = time.perf_counter()
        answer = await client.call(operation, body)
        seconds.append(time.perf_counter() - started)
        assert answer.status == 200, answer
        assert not answer.document.get("failures"), answer
    return seconds


@pytest.mark.timeout(600)
async def test_latency_of_what_is_called_most(fleet: ControllerProcess) -> None:
    profile = load_client_profile(fleet.data_dir)
    credentials = Credentials(profile.access_key_id, profile.secret_access_key)
    client = KeepAliveClient(f"{profile.endpoint}/", credentials, SystemClock().now)
    try:
        await _wait_until_connected(client)
        for operation in REQUESTS_OF:
            seconds = sorted(await _measure(client, operation, REQUESTS))
            p50, p99 = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
            print(
                f"BENCHMARK {operation}, {INSTANCES} instances, {INSTANCES * 30} tasks: "
                f"{len(seconds) / sum(seconds):.0f} requests/s, "
                f"p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
            )
    finally:
        await client.close()
