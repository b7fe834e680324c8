"""An instance whose disk is full gets no tasks until it has room again; and who holds what of the disk."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.integration.main_job.homeport import Homeport
from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT

pytestmark = pytest.mark.engine


def start_agent(homeport: Homeport, processes: TrackProcess, **settings: str) -> None:
    """Have the one agent start anew with other settings."""
    homeport.agent.stop()
    homeport.agent = processes(homeport.new_agent("agent", **settings))
    homeport.agent.start()
    homeport.wait_for_connection()


def test_a_full_disk_refuses_tasks_with_its_reason_and_takes_them_once_it_has_room(
    homeport: Homeport, processes: TrackProcess
) -> None:
    definition = homeport.register("web", {"stopTimeout": 1})
    running = homeport.run_task(definition)
    homeport.wait_for_status(running, "RUNNING")
    start_agent(homeport, processes, HOMEPORT_DISK_FULL_PERCENT="1")
    homeport.eventually(lambda: "statusReason" in homeport.instances()[0], "the disk is told of")
    (instance,) = homeport.instances()
    assert instance["statusReason"].startswith("No tasks are placed here: disk ")

    (failure,) = homeport.ecs("RunTask", taskDefinition=definition)["failures"]
    assert failure["reason"] == "RESOURCE:DISK"
    assert "% full on /" in failure["detail"]
    homeport.ecs("CreateService", serviceName="waiting", taskDefinition=definition, desiredCount=1)
    homeport.eventually(
        lambda: any(
            "too full for further tasks" in e["message"] for e in homeport.service("waiting")["events"]
        ),
        "the service says what it waits for",
    )
    assert homeport.task(running)["lastStatus"] == "RUNNING"

    start_agent(homeport, processes)
    homeport.wait_until_stable("waiting")
    assert "statusReason" not in homeport.instances()[0]


def test_the_command_tells_what_each_task_holds_and_logs_are_limited(homeport: Homeport) -> None:
    writes = "head -c 2m /dev/zero > /scratch; echo logged; exec sleep 600"
    definition = homeport.register("web", {"command": ["/bin/sh", "-c", writes], "stopTimeout": 1})
    task = homeport.run_task(definition)
    homeport.wait_for_status(task, "RUNNING")
    agent = f"127.0.0.1:{homeport.agent.introspection_port}"

    def held() -> dict[str, int] | None:
        command = [str(HOMEPORT), "disk", "--agent", agent, "--output", "json"]
        answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        (mine,) = [each for each in answer["Containers"] if each["Task"] == task]
        assert mine["Owner"] == "homeport"
        return mine if mine["Writable"] >= 2 * 1024 * 1024 and mine["Logs"] else None

    homeport.eventually(held, "the agent tells what the task has written")
    (container_id,) = homeport.containers().values()
    logging = homeport.engine.api.inspect_container(container_id)["HostConfig"]["LogConfig"]
    assert logging == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    table = subprocess.run(
        [str(HOMEPORT), "disk", "--agent", agent], capture_output=True, check=True, timeout=60
    )
    assert task.rpartition("/")[2] in table.stdout.decode()
