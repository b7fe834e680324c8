"""How long a service goes without a task whose container was killed, on a real engine.

Full mode: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_replacement.py`.
"""

from __future__ import annotations

import time

import pytest

from controller.cli.client import Client
from tests.benchmarks.report import FULL, say
from tests.integration.main_job.homeport import Homeport

pytestmark = pytest.mark.engine

TRIALS = 20 if FULL else 5
POLL_S = 0.01


def test_a_killed_container_is_replaced(homeport: Homeport) -> None:
    web = {
        "name": "web",
        "command": ["httpd", "-f", "-p", "80", "-h", "/www"],
        "portMappings": [{"containerPort": 80}],
    }
    homeport.create_service("web", homeport.register("web", web), 2)
    client = homeport.client
    seconds = []
    for _ in range(TRIALS):
        victim, container_id = next(iter(homeport.containers().items()))
        started = time.perf_counter()
        homeport.engine.api.kill(container_id)

        while not _replaced(client, homeport.cluster, victim):
            time.sleep(POLL_S)
        seconds.append(time.perf_counter() - started)
    say("docker kill until the replacement is RUNNING in the API", seconds, "s")
    assert homeport.service("web")["runningCount"] == 2


def _replaced(client: Client, cluster: str, victim: str) -> bool:
    arns = set(client.list_all("ListTasks", "taskArns", cluster=cluster)) - {victim}
    tasks = client.ecs("DescribeTasks", cluster=cluster, tasks=sorted(arns))["tasks"]
    return [task["lastStatus"] for task in tasks] == ["RUNNING", "RUNNING"]
