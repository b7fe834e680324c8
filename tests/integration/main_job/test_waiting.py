"""A task that waits on its instance says why wherever people look, and goes on when it can."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from tests.integration.main_job.homeport import Answer, Homeport
from tests.support.processes import HOMEPORT, clean_environment, http_get

pytestmark = pytest.mark.engine


def introspected(homeport: Homeport, path: str) -> Answer:
    """What the agent tells on its machine."""
    answer = http_get(f"http://127.0.0.1:{homeport.agent.introspection_port}{path}")
    assert answer is not None
    body: Answer = json.loads(answer[1])
    return body


def test_a_task_that_waits_says_why_in_the_api_in_ps_and_on_its_machine(homeport: Homeport) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        web = {"portMappings": [{"containerPort": 80, "hostPort": port}]}
        arn = homeport.run_task(homeport.register("web", web))

        def reason() -> str:
            return str(homeport.task(arn)["containers"][0].get("reason", ""))

        homeport.eventually(lambda: "held by process" in reason(), "the API says what it waits for")
        waits = reason()
        assert waits.startswith(f"waits for host port {port}/tcp, held by process ")
        assert homeport.task(arn)["lastStatus"] == "PENDING"
        shown = subprocess.run(
            (HOMEPORT, "ps", "--data-dir", homeport.controller.data_dir, "--cluster", homeport.cluster),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env=clean_environment(),
        )
        assert shown.stdout.splitlines()[1].endswith(waits)
        assert introspected(homeport, f"/v1/tasks?taskarn={arn}")["WaitsFor"] == waits
        resources = introspected(homeport, "/v1/resources")
        assert (resources["Held"], resources["Waiting"]) == ([], [{"Arn": arn, "WaitsFor": waits}])

    running = homeport.wait_for_status(arn, "RUNNING")
    assert "reason" not in running["containers"][0]
    (held,) = introspected(homeport, "/v1/resources")["Held"]
    assert (held["Arn"], held["PortsTCP"]) == (arn, [port])
