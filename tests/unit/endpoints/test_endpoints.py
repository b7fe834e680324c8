"""The agent's local HTTP servers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from agent.config_values import Address
from agent.endpoints.introspection import answer_tasks, introspection_app
from agent.endpoints.metrics import AgentCollector, metrics_app
from agent.endpoints.server import LocalServer
from agent.engine.admission import Delay
from agent.engine.book import TaskRecord
from agent.engine.cgroups import Running
from agent.engine.changes import KnownTask, NetworkBinding, NetworkInterface
from agent.engine.samples import Network, Sample
from agent.engine.states import AdmissionDelayed, RestartPlan, Started
from agent.engine.waiting import Account
from agent.protocol import acs
from agent.protocol.resources import Resources
from tests.unit.engine.builders import ARN, Machine, acs_container, acs_task, container, exited, plan

DOCKER_ID = "id-web"


def record(machine: Machine) -> TaskRecord:
    """A task as the engine keeps it."""
    definition = acs_task(acs_container(port_mappings=(acs.PortMapping(container_port=80),)))
    return TaskRecord(definition, machine.plan, machine.state)


class Engine:
    """An engine with one running task."""

    def __init__(self) -> None:
        machine = Machine(plan()).run_up()
        binding = NetworkBinding("0.0.0.0", 80, 32768, "tcp")
        machine.happen(Started(at=2.0, container="web", docker_id=DOCKER_ID, network_bindings=(binding,)))
        self._record = record(machine)

    def records(self) -> tuple[TaskRecord, ...]:
        return (self._record,)

    def account(self) -> Account:
        held = Resources(10, 16, frozenset({80}), frozenset({53}), 1, frozenset({"g1"}))
        waiting = Delay("arn:waiting", "waits for host port 80/tcp, held by task " + ARN)
        capacity = Resources(2048, 4096, frozenset({22}), frozenset(), 2, frozenset({"g0", "g1"}))
        return Account(capacity, {ARN: held}, (waiting,))

    def known_tasks(self) -> tuple[KnownTask, ...]:
        return (KnownTask(ARN, "app", "3", "RUNNING", "RUNNING", "NONE"),)

    def container_usage(self) -> tuple[tuple[Running, Sample], ...]:
        network = Network(1000, 10, 1, 2, 500, 5, 3, 4)
        sample = Sample(1.0, 12.5, 1024, network, read_bytes=4096, written_bytes=512)
        return ((Running(DOCKER_ID, ARN, "web", own_network=True), sample),)


@contextlib.asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    """The base URL of a server on a port of its own."""
    server = LocalServer("test", Address("127.0.0.1", 0), application)
    running = asyncio.create_task(server.run())
    try:
        yield f"http://{await server.bound()}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def introspection() -> AsyncIterator[str]:
    application = introspection_app(
        Engine(), version="1.2.3", cluster="default", container_instance=lambda: "arn:instance"
    )
    async with served(application) as url:
        yield url


async def test_metadata_names_cluster_instance_and_version(
    introspection: str, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{introspection}/v1/metadata") as answer:
        assert await answer.json() == {
            "Cluster": "default",
            "ContainerInstanceArn": "arn:instance",
            "Version": "Homeport Agent - v1.2.3",
        }


@pytest.mark.parametrize("path", ["/", "/v1", "/nonsense/at/all"])
async def test_any_other_path_lists_the_commands(
    introspection: str, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(introspection + path) as answer:
        commands = ["/v1/metadata", "/v1/tasks", "/v1/resources", "/license"]
        assert await answer.json() == {"AvailableCommands": commands}


async def test_resources_tell_what_there_is_who_holds_it_and_who_waits(
    introspection: str, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{introspection}/v1/resources") as answer:
        assert await answer.json() == {
            "Capacity": {"CPU": 2048, "Memory": 4096, "GPUs": ["g0", "g1"]},
            "Reserved": {"PortsTCP": [22], "PortsUDP": []},
            "Held": [
                {"Arn": ARN, "CPU": 10, "Memory": 16, "GPUs": ["g1"], "PortsTCP": [80], "PortsUDP": [53]}
            ],
            "Waiting": [
                {"Arn": "arn:waiting", "WaitsFor": f"waits for host port 80/tcp, held by task {ARN}"}
            ],
        }


async def test_the_licence_is_told(introspection: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{introspection}/license") as answer:
        assert "Apache License" in await answer.text()


async def test_tasks_are_listed_with_their_containers(
    introspection: str, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{introspection}/v1/tasks") as answer:
        (task,) = (await answer.json())["Tasks"]

    (container,) = task.pop("Containers")
    assert task == {
        "Arn": ARN,
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Family": "app",
        "Version": "3",
    }
    assert container["DockerId"] == DOCKER_ID
    assert container["DockerName"] == "docker-web"
    assert container["Name"] == "web"
    assert container["StartedAt"] == "1970-01-01T00:00:02Z"
    assert container["Ports"] == [
        {"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768, "HostIp": "0.0.0.0"}
    ]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"taskarn": ARN}, 200),
        ({"dockerid": DOCKER_ID}, 200),
        ({"dockerid": "id-"}, 200),
        ({"taskarn": "other"}, 404),
        ({"dockerid": "other"}, 404),
        ({"taskarn": ARN, "dockerid": DOCKER_ID}, 400),
    ],
)
async def test_one_task_is_found_by_arn_or_docker_id(
    introspection: str, http: aiohttp.ClientSession, query: dict[str, str], status: int
) -> None:
    async with http.get(f"{introspection}/v1/tasks", params=query) as answer:
        assert answer.status == status
        body: dict[str, Any] = await answer.json()
    assert body.get("Arn") == (ARN if status == 200 else None)


def test_a_short_id_of_several_tasks_is_refused() -> None:
    both = (record(Machine(plan()).run_up()), record(Machine(plan()).run_up()))
    assert answer_tasks(both, None, "id-")[0] == 400


def test_a_task_that_waits_says_for_what() -> None:
    machine = Machine(plan())
    machine.happen(AdmissionDelayed(at=1.0, reason="waits for 512 CPU units"))
    body = answer_tasks((record(machine),), ARN, None)[1]

    assert (body["KnownStatus"], body["WaitsFor"]) == ("PENDING", "waits for 512 CPU units")


def test_a_task_that_ended_by_itself_shows_its_desired_status_too() -> None:
    machine = Machine(plan()).run_up()
    machine.happen(exited("web", 1))
    body = answer_tasks((record(machine),), ARN, None)[1]

    assert (body["KnownStatus"], body["DesiredStatus"]) == ("STOPPED", "STOPPED")


def test_restarts_are_told_of_containers_with_a_policy_and_addresses_of_tasks_that_have_their_own() -> None:
    restart = RestartPlan(ignored_exit_codes=(), attempt_period=60.0)
    restarting = replace(container("web"), restart=restart)
    machine = Machine(plan(restarting, replace(container("pause"), internal=True))).run_up()
    first, pause = machine.state.containers
    interface = NetworkInterface("172.17.0.5", "02:42:ac:11:00:05")
    containers = (replace(first, restarts=3), replace(pause, network_interface=interface))
    machine.state = replace(machine.state, containers=containers)
    definition = acs_task(acs_container(), acs_container("pause"))
    known = TaskRecord(definition, machine.plan, machine.state)
    (told,) = answer_tasks((known,), ARN, None)[1]["Containers"]

    assert told["RestartCount"] == 3
    assert told["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": ["172.17.0.5"]}]


async def test_metrics_tell_version_tasks_sessions_and_use(http: aiohttp.ClientSession) -> None:
    registry = CollectorRegistry()
    registry.register(AgentCollector(Engine(), "1.2.3", {"acs": lambda: True, "tcs": lambda: False}))
    async with served(metrics_app(registry)) as url, http.get(f"{url}/metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain")

    labels = '{container="web",family="app",task="0123456789abcdef0123456789abcdef"}'
    assert 'homeport_agent_build_info{version="1.2.3"} 1.0' in text
    assert 'homeport_agent_tasks{status="RUNNING"} 1.0' in text
    assert 'homeport_agent_tasks{status="PENDING"} 0.0' in text
    assert 'homeport_agent_session_connected{session="acs"} 1.0' in text
    assert 'homeport_agent_session_connected{session="tcs"} 0.0' in text
    assert f"homeport_agent_container_cpu_seconds_total{labels} 12.5" in text
    assert f"homeport_agent_container_memory_bytes{labels} 1024.0" in text
    assert f"homeport_agent_container_network_received_bytes_total{labels} 1000.0" in text
    assert f"homeport_agent_container_network_sent_dropped_total{labels} 4.0" in text
    assert f"homeport_agent_container_block_read_from_bytes_total{labels} 4096.0" in text
    assert f"homeport_agent_container_block_written_to_bytes_total{labels} 512.0" in text


async def test_a_taken_port_is_waited_for(http: aiohttp.ClientSession) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        server = LocalServer("test", address, metrics_app(CollectorRegistry()))
        running = asyncio.create_task(server.run())
        bound = asyncio.create_task(server.bound())
        done, _ = await asyncio.wait([bound], timeout=0.2)
        assert not done
    assert await asyncio.wait_for(bound, 10) == address
    async with http.get(f"http://{address}/metrics") as answer:
        assert answer.status == 200
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
