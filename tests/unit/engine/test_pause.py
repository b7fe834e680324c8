"""The pause container: its program, and what it takes over from the containers of its task."""

import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from agent.engine.container_body import create_body
from agent.engine.definition import demand, plan_task
from agent.engine.namespaces import PAUSE_NAME, with_pause_container
from agent.engine.ordering import find_cycle
from agent.engine.pause_program import can_pause, pause_program
from agent.engine.refusals import refusal
from agent.protocol import acs
from tests.unit.engine.builders import acs_container, acs_task

HERE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
SIGCHLD_IGNORED = 1 << 16


def docker_config(config: object, host_config: object) -> acs.DockerConfig:
    """Both documents as a payload carries them."""
    return acs.DockerConfig(config=json.dumps(config), host_config=json.dumps(host_config))


def with_pause(*containers: acs.Container, **members: Any) -> acs.Task:
    """A task of these containers and their pause container."""
    return with_pause_container(acs_task(*containers, **members), "homeport/pause:1")


def bodies(task: acs.Task) -> dict[str, dict[str, Any]]:
    """The create body of each container."""
    plan = plan_task(task, 30.0, lambda: "01")
    return {c.name or "": create_body(task, plan, c, "owner", None) for c in task.containers}


@pytest.mark.skipif(not can_pause(HERE), reason="there is no pause program for this architecture")
def test_the_program_sleeps_and_lets_the_kernel_reap(tmp_path: Path) -> None:
    file = tmp_path / "pause"
    file.write_bytes(pause_program(HERE))
    file.chmod(0o755)

    with subprocess.Popen([file]) as process:
        try:
            deadline = time.monotonic() + 5.0
            while not ignores_children(process.pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert ignores_children(process.pid)
            assert process.poll() is None
        finally:
            process.kill()


def ignores_children(pid: int) -> bool:
    """Whether the children of a process are nobody's to wait for."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ignored = next(line.split()[1] for line in lines if line.startswith("SigIgn"))
    return bool(int(ignored, 16) & SIGCHLD_IGNORED)


def test_both_programs_are_whole_executables() -> None:
    for architecture, machine in (("x86_64", 62), ("arm64", 183)):
        program = pause_program(architecture)
        assert program[:4] == b"\x7fELF"
        assert int.from_bytes(program[18:20], "little") == machine
        assert int.from_bytes(program[0x60:0x68], "little") == len(program), "the segment is the whole file"


def test_a_task_that_shares_nothing_has_no_pause_container() -> None:
    assert with_pause() == acs_task()


def test_every_container_waits_for_the_pause_container_which_so_ends_last() -> None:
    task = with_pause(acs_container("web"), acs_container("log"), network_mode="awsvpc")
    plan = plan_task(task, 30.0, lambda: "01")

    assert [(c.name, c.internal, c.essential) for c in plan.containers] == [
        ("web", False, True),
        ("log", False, True),
        (PAUSE_NAME, True, True),
    ]
    assert [c.name for c in plan.dependents(PAUSE_NAME)] == ["web", "log"]
    assert find_cycle(plan) == ()


def test_what_is_said_about_the_network_is_said_to_the_pause_container() -> None:
    web = acs_container(
        "web",
        port_mappings=(acs.PortMapping(container_port=80, host_port=80),),
        docker_config=docker_config(
            {"Hostname": "shop"},
            {"Dns": ["10.0.0.2"], "ExtraHosts": ["db:10.0.0.9"], "Sysctls": {"net.core.somaxconn": "999"}},
        ),
    )
    log = acs_container("log", docker_config=docker_config({}, {"Dns": ["10.0.0.2", "10.0.0.3"]}))
    made = bodies(with_pause(web, log, network_mode="awsvpc"))

    pause, of_web = made[PAUSE_NAME], made["web"]
    assert pause["Hostname"] == "shop"
    assert pause["HostConfig"]["NetworkMode"] == "bridge"
    assert pause["HostConfig"]["Dns"] == ["10.0.0.2", "10.0.0.3"]
    assert pause["HostConfig"]["ExtraHosts"] == ["db:10.0.0.9"]
    assert pause["HostConfig"]["Sysctls"] == {"net.core.somaxconn": "999"}
    assert of_web["HostConfig"]["NetworkMode"] == "container:ecs-app-3-internalecspause-01"
    assert of_web["HostConfig"]["Sysctls"] == {}
    said_elsewhere = {"Dns", "ExtraHosts", "PortBindings", "Links", "Hostname", "ExposedPorts"}
    assert not said_elsewhere & (of_web.keys() | of_web["HostConfig"].keys())


def test_process_and_ipc_namespaces_are_the_pause_containers() -> None:
    web = acs_container(
        "web", docker_config=docker_config({}, {"ShmSize": 128, "Sysctls": {"kernel.shmmax": "1"}})
    )
    made = bodies(with_pause(web, pid_mode="task", ipc_mode="task"))

    assert made[PAUSE_NAME]["HostConfig"]["IpcMode"] == "shareable"
    assert made[PAUSE_NAME]["HostConfig"]["ShmSize"] == 128
    assert made[PAUSE_NAME]["HostConfig"]["Sysctls"] == {"kernel.shmmax": "1"}
    assert made[PAUSE_NAME]["HostConfig"]["NetworkMode"] == "none"
    assert made["web"]["HostConfig"]["PidMode"] == "container:ecs-app-3-internalecspause-01"
    assert made["web"]["HostConfig"]["IpcMode"] == "container:ecs-app-3-internalecspause-01"
    assert "NetworkMode" not in made["web"]["HostConfig"], "the network is not shared"


def test_the_hosts_process_namespace_is_none_of_the_pause_container() -> None:
    made = bodies(with_pause(acs_container("web"), network_mode="awsvpc", pid_mode="host", ipc_mode="host"))

    assert "PidMode" not in made[PAUSE_NAME]["HostConfig"]
    assert made["web"]["HostConfig"]["PidMode"] == "host"
    assert made["web"]["HostConfig"]["IpcMode"] == "host"


def test_an_awsvpc_task_takes_no_port_of_the_host() -> None:
    web = acs_container("web", port_mappings=(acs.PortMapping(container_port=80, host_port=80),))

    assert demand(acs_task(web, network_mode="awsvpc")).ports_tcp == frozenset()


def test_without_a_program_for_the_architecture_the_task_is_refused() -> None:
    task = with_pause_container(acs_task(network_mode="awsvpc"), None)

    assert "networkMode awsvpc on the Docker engine's architecture" in refusal(task)
    assert refusal(with_pause(network_mode="awsvpc")) == ""
