"""The netfilter rules for the tasks' address: kept in force, owned by one agent, taken away at its end."""

import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.endpoints.conftest import Island
from tests.support.own_host import HostAgent, OwnHost
from tests.support.processes import REPOSITORY, http_get, wait_until

pytestmark = [pytest.mark.timeout(180)]

_ROUTE_LOCALNET = "/proc/sys/net/ipv4/conf/all/route_localnet"
SLEEP = {"name": "sleep", "command": ["sleep", "600"], "stopTimeout": 2}


@pytest.fixture(scope="module")
def arn(island: Island) -> str:
    """A task that runs."""
    return island.run(island.register("sleeper", SLEEP))


@pytest.fixture
def second(island: Island) -> Iterator[HostAgent]:
    """Another agent on the same host; not started."""
    agent = island.new_agent("second")
    yield agent
    agent.end()


def variables(island: Island, arn: str, container: str = "sleep") -> dict[str, str]:
    """The environment of a task's container."""
    return dict(entry.split("=", 1) for entry in island.inspect(arn, container)["Config"]["Env"])


def is_answered(island: Island, arn: str) -> bool:
    """Whether the container of a task gets an answer from its agent, by the tools that busybox has."""
    path = variables(island, arn)["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://169.254.170.2")
    # The answer is not sent to who has closed the connection already.
    script = f"(printf 'GET {path} HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 2 169.254.170.2 80"
    with island.host.engine.client() as engine:
        container = engine.containers.get(island.inspect(arn, "sleep")["Id"])
        return b" 200 OK" in container.exec_run(["/bin/sh", "-c", script]).output


def send_datagram(host: OwnHost, destination: str) -> None:
    """Put a datagram on the wire to the host that no router would let pass."""
    addresses = socket.inet_aton(host.gateway) + socket.inet_aton(destination)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    total = sum(struct.unpack("!10H", header))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = header[:10] + struct.pack("!H", checksum) + header[12:]
    datagram = struct.pack("!HHHH", 4242, 4242, 8, 0)
    frame = bytes.fromhex(host.mac_address.replace(":", "")) + bytes(6) + b"\x08\x00" + header + datagram
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((host.outer_interface, 0))
        wire.send(frame)


def release(island: Island) -> str:
    """Run the command that removes what agents have left; returns why it did not."""
    command = (*island.host.entering, sys.executable, "-m", "agent.endpoints.release")
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode == 0) == (done.stderr == ""), done
    return done.stderr.strip().rpartition(": ")[2]


def test_rules_that_were_flushed_are_back_soon(island: Island, arn: str) -> None:
    assert is_answered(island, arn)
    before = island.host.rules()
    island.host.run(
        "iptables", "-t", "nat", "-D", "PREROUTING", "-d", "169.254.170.2/32", "-j", "HOMEPORT-TASKS-IN"
    )
    island.host.run("iptables", "-F", "HOMEPORT-LOOPBACK")
    island.host.run("sysctl", "-w", "net.ipv4.conf.all.route_localnet=0")
    assert not is_answered(island, arn)

    wait_until(lambda: is_answered(island, arn), "the container reaches its agent again")
    assert island.host.rules() == before


def test_neighbours_of_the_host_are_not_led_to_the_agent(island: Island, arn: str) -> None:
    uri = variables(island, arn)["ECS_CONTAINER_METADATA_URI_V4"]
    assert island.host.run("python3", "-c", _GET, uri), "the host itself reaches it"
    # This machine is the host's neighbour: it can send it packets for any address.
    route = ("169.254.170.2/32", "via", island.host.address)
    subprocess.run(["ip", "route", "add", *route], check=True, timeout=10)
    try:
        assert http_get(uri, timeout_s=2.0) is None
    finally:
        subprocess.run(["ip", "route", "delete", *route], check=True, timeout=10)


def test_what_neighbours_send_to_the_loopback_addresses_is_dropped(island: Island, arn: str) -> None:
    def dropped() -> int:
        table = island.host.run("iptables", "-nvxL", "HOMEPORT-LOOPBACK")
        return int(next(line for line in table.splitlines() if "DROP" in line).split()[0])

    before = dropped()
    send_datagram(island.host, "127.0.0.1")
    wait_until(lambda: dropped() > before, "the datagram is dropped")


def test_a_second_agent_says_so_and_its_tasks_go_without(island: Island, arn: str, second: HostAgent) -> None:
    before = island.host.rules()
    second.start()
    assert re.search(r"task_address_left_to_others.*another agent on this host has it", second.log())
    instance = second.container_instance_arn
    definition = island.register("loner", SLEEP)
    started = island.ecs("StartTask", taskDefinition=definition, containerInstances=[instance])
    lonely = started["tasks"][0]["taskArn"]
    wait_until(lambda: island.task(lonely)["lastStatus"] == "RUNNING", "the second agent's task runs")

    assert not [name for name in variables(island, lonely) if name.startswith("ECS_")]
    second.stop()
    assert island.host.rules() == before
    assert is_answered(island, arn)


def test_somebody_elses_rule_for_the_address_is_left_alone(island: Island, second: HostAgent) -> None:
    theirs = ("-d", "169.254.170.2/32", "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "51679")
    island.agent.stop()
    assert release(island) == ""
    island.host.run("iptables", "-t", "nat", "-A", "OUTPUT", *theirs)
    try:
        second.start()
        assert re.search(r"task_address_left_to_others.*somebody else", second.log())
        assert not [rule for rule in island.host.rules() if "HOMEPORT" in rule]
    finally:
        second.stop()
        island.host.run("iptables", "-t", "nat", "-D", "OUTPUT", *theirs)
        island.agent.start()


def test_rules_stay_for_containers_that_run_on_and_go_with_the_last(island: Island, arn: str) -> None:
    island.agent.stop()
    assert island.host.rules()
    island.agent.start()
    wait_until(lambda: is_answered(island, arn), "the container reaches its agent again")

    assert release(island) == "an agent that runs on this host has them"
    island.ecs("StopTask", task=arn)
    wait_until(lambda: island.task(arn)["lastStatus"] == "STOPPED", "the task stops", 60)
    island.agent.stop()
    assert island.host.rules() == []
    assert island.host.run("cat", _ROUTE_LOCALNET).strip() == "0"
    island.agent.start()


def test_rules_that_an_agent_left_are_removed_for_good_by_command(island: Island) -> None:
    island.run(island.register("left", SLEEP))
    island.agent.stop()
    assert island.host.rules()

    assert release(island) == ""
    assert island.host.rules() == []
    assert island.host.run("cat", _ROUTE_LOCALNET).strip() == "0"
    island.agent.start()
    wait_until(island.host.rules, "the next agent puts them in force again")


_GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).status)"
