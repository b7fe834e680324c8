"""What a container definition asks of its host, from the API to what a process in the container sees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.main_job.homeport import Homeport

pytestmark = pytest.mark.engine

MIB = 1024 * 1024
NET_ADMIN, NET_RAW = 1 << 12, 1 << 13

TELL = """
status() { grep "^$1" /proc/self/status | cut -f2; }
echo "user=$(id -u):$(id -g)"
echo "directory=$(pwd)"
echo "hostname=$(hostname)"
echo "init=$(cut -d' ' -f2 /proc/1/stat)"
echo "files=$(ulimit -Sn)/$(ulimit -Hn)"
echo "shm=$(df -k /dev/shm | tail -1 | awk '{print $2}')"
echo "tmpfs=$(grep ' /scratch ' /proc/mounts | cut -d' ' -f4)"
echo "device=$(ls -l /dev/nothing | cut -c1)"
echo "somaxconn=$(cat /proc/sys/net/core/somaxconn)"
echo "database=$(grep -w database /etc/hosts | cut -f1)"
echo "nameserver=$(grep nameserver /etc/resolv.conf | cut -d' ' -f2)"
echo "search=$(grep search /etc/resolv.conf | cut -d' ' -f2-)"
echo "bounding=$(status CapBnd)"
echo "no_new_privileges=$(status NoNewPrivs)"
echo "writable=$(touch /file 2>/dev/null && echo yes || echo no)"
echo "terminal=$(tty)"
echo "input=$(readlink /proc/self/fd/0)"
echo "greeting=$GREETING"
exec sleep 3600
"""

EVERYTHING: dict[str, Any] = {
    "command": ["sh", "-c", TELL],
    "memory": 64,
    "user": "1234:5678",
    "workingDirectory": "/tmp",
    "hostname": "box",
    "environment": [{"name": "GREETING", "value": "hello"}],
    "readonlyRootFilesystem": True,
    "pseudoTerminal": True,
    "interactive": True,
    "dnsServers": ["192.0.2.53"],
    "dnsSearchDomains": ["example.test", "example.org"],
    "extraHosts": [{"hostname": "database", "ipAddress": "192.0.2.7"}],
    "dockerSecurityOptions": ["no-new-privileges"],
    "dockerLabels": {"team": "web"},
    "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "999"}],
    "linuxParameters": {
        "initProcessEnabled": True,
        "sharedMemorySize": 32,
        "maxSwap": 16,
        "swappiness": 10,
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["NET_RAW"]},
        "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/nothing", "permissions": ["read"]}],
        "tmpfs": [{"containerPath": "/scratch", "size": 8, "mountOptions": ["noexec", "mode=700"]}],
    },
    "stopTimeout": 2,
}


def test_a_process_finds_everything_that_its_definition_asks_for(homeport: Homeport) -> None:
    arn = homeport.run_task(homeport.register("everything", EVERYTHING))
    homeport.wait_for_status(arn, "RUNNING")
    container = homeport.engine.containers.get(homeport.containers()[arn])

    def told() -> dict[str, str]:
        lines = container.logs().decode().splitlines()
        facts = dict(line.strip().split("=", 1) for line in lines if "=" in line)
        return facts if "greeting" in facts else {}

    facts = homeport.eventually(told, "the container has told everything")
    bounding = int(facts.pop("bounding"), 16)
    assert bounding & NET_ADMIN
    assert not bounding & NET_RAW
    tmpfs = set(facts.pop("tmpfs").split(","))
    assert {"rw", "noexec", "mode=700", "size=8192k"} <= tmpfs
    terminal = facts.pop("terminal")
    assert terminal.startswith("/dev/pts/") or facts["input"].startswith("/dev/pts/")
    facts.pop("input")
    assert facts == {
        "user": "1234:5678",
        "directory": "/tmp",
        "hostname": "box",
        "init": "(docker-init)",
        "files": "100/200",
        "shm": str(32 * 1024),
        "device": "c",
        "somaxconn": "999",
        "database": "192.0.2.7",
        "nameserver": "192.0.2.53",
        "search": "example.test example.org",
        "no_new_privileges": "1",
        "writable": "no",
        "greeting": "hello",
    }
    asked = container.attrs["HostConfig"]
    assert asked["MemorySwap"] == (64 + 16) * MIB
    assert asked["MemorySwappiness"] == 10
    assert asked["Devices"][0]["CgroupPermissions"] == "r"
    assert container.labels["team"] == "web"


def test_a_privileged_container_is_asked_of_the_engine(homeport: Homeport) -> None:
    """Whether the machine lets it start is another matter."""
    arn = homeport.run_task(homeport.register("privileged", {"privileged": True, "command": ["sleep", "1"]}))
    homeport.eventually(lambda: arn in homeport.containers(running_only=False), "the container is made")
    container = homeport.engine.containers.get(homeport.containers(running_only=False)[arn])

    assert container.attrs["HostConfig"]["Privileged"] is True
    homeport.wait_for_status(arn, "STOPPED")


LOG_DRIVERS = {
    "json-file": {"mode": "non-blocking", "max-size": "1m", "max-file": "2", "labels": "team"},
    "syslog": {"mode": "blocking", "syslog-address": "udp://127.0.0.1:5514", "tag": "web"},
    "gelf": {"mode": "blocking", "gelf-address": "udp://127.0.0.1:12201"},
    "fluentd": {"mode": "blocking", "fluentd-address": "127.0.0.1:24224", "fluentd-async": "true"},
}


def test_every_log_driver_gets_its_options(homeport: Homeport) -> None:
    names = {a["name"] for a in homeport.instances()[0]["attributes"]}
    assert {f"com.amazonaws.ecs.capability.logging-driver.{driver}" for driver in LOG_DRIVERS} <= names
    asked = [{"logDriver": driver, "options": options} for driver, options in LOG_DRIVERS.items()]
    container = {"command": ["sleep", "600"], "stopTimeout": 2}
    definition = homeport.register("logs", *({**container, "logConfiguration": log} for log in asked))
    task = homeport.wait_for_status(homeport.run_task(definition), "RUNNING")
    inspections = [homeport.engine.api.inspect_container(c["runtimeId"]) for c in task["containers"]]
    configs = [inspection["HostConfig"]["LogConfig"] for inspection in inspections]
    found = {config["Type"]: config["Config"] for config in configs}

    assert found.pop("json-file") == {**LOG_DRIVERS["json-file"], "max-buffer-size": "10m"}
    assert found == {name: LOG_DRIVERS[name] for name in ("syslog", "gelf", "fluentd")}
