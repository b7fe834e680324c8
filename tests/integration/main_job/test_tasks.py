"""Standalone tasks on a real engine: what they may ask for takes effect, and what fails says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.cli.client import ApiError
from tests.integration.main_job.homeport import Homeport
from tests.support import engine

pytestmark = pytest.mark.engine


def test_a_task_runs_to_its_end_and_its_exit_code_is_known(homeport: Homeport) -> None:
    arn = homeport.run_task(homeport.register("job", {"command": ["sh", "-c", "exit 7"]}))
    task = homeport.wait_for_status(arn, "STOPPED")
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 7)
    assert task["startedAt"] <= task["stoppedAt"]


@pytest.mark.skipif(not (engine.CGROUPS / "memory").is_dir(), reason="the machine has no cgroup v1")
def test_a_task_with_limits_of_its_own_is_placed_and_bounded_by_them(homeport: Homeport) -> None:
    (instance,) = homeport.instances()
    names = {attribute["name"] for attribute in instance["attributes"]}
    assert {"ecs.capability.task-cpu-mem-limit", "ecs.capability.increased-task-cpu-limit"} <= names

    arn = homeport.run_task(homeport.register("bounded", {}, cpu="256", memory="128"))
    homeport.wait_for_status(arn, "RUNNING")
    whole = engine.CGROUPS / "memory/ecs" / arn.rpartition("/")[2]
    assert (whole / "memory.limit_in_bytes").read_text().strip() == str(128 * 1024 * 1024)
    assert (whole / homeport.containers()[arn] / "cgroup.procs").read_text()


def test_where_tasks_are_not_limited_none_that_needs_it_is_placed(homeport: Homeport) -> None:
    homeport.agent.stop()
    agent = homeport.new_agent("agent", ECS_ENABLE_TASK_CPU_MEM_LIMIT="false")
    agent.start()
    try:
        homeport.wait_for_connection()
        bounded = homeport.register("bounded", {}, cpu="256", memory="128")
        answer = homeport.ecs("RunTask", taskDefinition=bounded)
        assert (answer["tasks"], answer["failures"][0]["reason"]) == ([], "ATTRIBUTE")
        homeport.wait_for_status(homeport.run_task(homeport.register("free", {})), "RUNNING")
    finally:
        agent.end()


def test_stopping_a_task_is_gentle_first_and_keeps_the_reason(homeport: Homeport) -> None:
    definition = homeport.register(
        "job", {"command": ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"]}
    )
    arn = homeport.run_task(definition)
    homeport.wait_for_status(arn, "RUNNING")
    homeport.ecs("StopTask", task=arn, reason="maintenance")
    task = homeport.wait_for_status(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "maintenance")
    assert task["containers"][0]["exitCode"] == 5


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(homeport: Homeport) -> None:
    definition = homeport.register(
        "job", {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "stopTimeout": 2}
    )
    arn = homeport.run_task(definition)
    homeport.wait_for_status(arn, "RUNNING")
    homeport.ecs("StopTask", task=arn)
    assert homeport.wait_for_status(arn, "STOPPED")["containers"][0]["exitCode"] == 137


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "homeport-test/missing:1"}, "CannotPullContainerError"),
        ({"command": ["/no/such/program"]}, "CannotStartContainerError"),
    ],
)
def test_a_task_that_cannot_start_says_why(
    homeport: Homeport, container: dict[str, Any], reason: str
) -> None:
    task = homeport.wait_for_status(homeport.run_task(homeport.register("broken", container)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert reason in task["stoppedReason"] + task["containers"][0].get("reason", "")
    assert "startedAt" not in task


def test_what_a_container_asks_for_reaches_the_engine(homeport: Homeport, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    definition = homeport.register(
        "full",
        {
            "name": "app",
            "command": ["sleep", "600"],
            "cpu": 256,
            "memory": 32,
            "memoryReservation": 16,
            "environment": [{"name": "GREETING", "value": "hello"}],
            "portMappings": [
                {"containerPort": 8080, "hostPort": 18080},
                {"containerPort": 9090, "protocol": "udp"},
            ],
            "mountPoints": [
                {"sourceVolume": "host", "containerPath": "/host", "readOnly": True},
                {"sourceVolume": "named", "containerPath": "/named"},
            ],
            "dockerLabels": {"team": "web"},
            "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
            "healthCheck": {"command": ["CMD", "true"], "interval": 5},
            "user": "0:0",
            "workingDirectory": "/tmp",
            "readonlyRootFilesystem": True,
            "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
            "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["NET_RAW"]}},
        },
        volumes=[{"name": "host", "host": {"sourcePath": str(tmp_path / "shared")}}, {"name": "named"}],
    )
    arn = homeport.run_task(definition)
    task = homeport.wait_for_status(arn, "RUNNING")
    inspection = homeport.engine.api.inspect_container(homeport.containers()[arn])
    host, config = inspection["HostConfig"], inspection["Config"]
    assert (host["Memory"], host["MemoryReservation"], host["CpuShares"]) == (32 << 20, 16 << 20, 256)
    assert {"GREETING=hello", "AWS_EXECUTION_ENV=AWS_ECS_EC2"} <= set(config["Env"])
    assert (config["User"], config["WorkingDir"], config["Labels"]["team"]) == ("0:0", "/tmp", "web")
    assert (host["ReadonlyRootfs"], host["Init"], host["CapDrop"]) == (True, True, ["NET_RAW"])
    log_options = {"max-size": "1m", "mode": "non-blocking", "max-buffer-size": "10m"}
    assert host["LogConfig"] == {"Type": "json-file", "Config": log_options}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert config["Healthcheck"]["Test"] == ["CMD", "true"]
    assert {(m["Destination"], m["RW"]) for m in inspection["Mounts"]} == {("/host", False), ("/named", True)}
    bindings = {
        b["containerPort"]: (b["hostPort"], b["protocol"]) for b in task["containers"][0]["networkBindings"]
    }
    assert bindings[8080] == (18080, "tcp")
    assert bindings[9090][1] == "udp"


@pytest.mark.parametrize("mode", ["host", "none"])
def test_the_other_networks(homeport: Homeport, mode: str) -> None:
    arn = homeport.run_task(homeport.register("net", {"command": ["sleep", "600"]}, networkMode=mode))
    homeport.wait_for_status(arn, "RUNNING")
    inspection = homeport.engine.api.inspect_container(homeport.containers()[arn])
    assert inspection["HostConfig"]["NetworkMode"] == mode


def test_containers_of_a_task_live_and_end_together(homeport: Homeport) -> None:
    definition = homeport.register(
        "pair",
        {"name": "main", "command": ["sh", "-c", "until [ -e /tmp/end ]; do sleep 0.1; done; exit 3"]},
        {"name": "side", "command": ["sleep", "600"], "essential": False, "stopTimeout": 1},
    )
    arn = homeport.run_task(definition)
    running = homeport.wait_for_status(arn, "RUNNING")
    (main,) = (c["runtimeId"] for c in running["containers"] if c["name"] == "main")
    homeport.engine.containers.get(main).exec_run(["touch", "/tmp/end"])
    task = homeport.wait_for_status(arn, "STOPPED")
    codes = {container["name"]: container.get("exitCode") for container in task["containers"]}
    assert codes["main"] == 3
    assert {container["lastStatus"] for container in task["containers"]} == {"STOPPED"}
    homeport.eventually(lambda: not homeport.containers(), "both containers have stopped")


def test_a_host_port_goes_to_one_task_and_the_next_is_told_why_not(homeport: Homeport) -> None:
    container = {
        "command": ["sleep", "600"],
        "stopTimeout": 2,
        "portMappings": [{"containerPort": 80, "hostPort": 18081}],
    }
    definition = homeport.register("port", container)
    first = homeport.run_task(definition)
    homeport.wait_for_status(first, "RUNNING")
    answer = homeport.ecs("RunTask", taskDefinition=definition)
    assert answer["tasks"] == []
    assert answer["failures"][0]["reason"] == "RESOURCE:PORTS"
    homeport.ecs("StopTask", task=first)
    homeport.wait_for_status(first, "STOPPED")
    homeport.wait_for_status(homeport.run_task(definition), "RUNNING")


def test_more_memory_than_there_is_places_nothing(homeport: Homeport) -> None:
    definition = homeport.register("huge", {"memory": 100_000_000})
    answer = homeport.ecs("RunTask", taskDefinition=definition)
    assert (answer["tasks"], answer["failures"][0]["reason"]) == ([], "RESOURCE:MEMORY")


def test_a_negative_cpu_is_refused_and_nothing_is_registered(homeport: Homeport) -> None:
    with pytest.raises(ApiError) as refusal:
        homeport.register("negative", {"cpu": -1})
    assert refusal.value.code in ("ClientException", "InvalidParameterException")
    assert homeport.client.ecs("ListTaskDefinitionFamilies", familyPrefix="negative")["families"] == []
