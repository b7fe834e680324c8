"""`homeport disk`: the agent's account, for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from controller.cli.disk import size
from controller.cli.root import main

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "1" * 32
MIB = 1024 * 1024
USAGE: dict[str, Any] = {
    "Status": "WARNING",
    "Reason": "disk 78 % full on /var/lib/docker",
    "Disks": [
        {"Path": "/var/lib/docker", "Percent": 78, "Total": 100 * MIB, "Available": 22 * MIB},
        {"Path": "/data", "Percent": 3, "Total": 1024 * MIB, "Available": 1000 * MIB},
    ],
    "Images": [
        {"Id": "sha256:1", "Names": ["web:1"], "Owner": "homeport", "Unique": 5 * MIB, "Containers": 1},
        {"Id": "sha256:2", "Names": ["old:1"], "Owner": "others", "Unique": 30 * MIB, "Containers": 0},
    ],
    "Layers": 40 * MIB,
    "Containers": [
        {"State": "running", "Owner": "homeport", "Task": TASK, "Writable": 2 * MIB, "Logs": 3 * MIB},
        {"State": "exited", "Owner": "others", "Task": None, "Writable": MIB, "Logs": None},
    ],
    "Volumes": [
        {"Name": "scratch", "Owner": "homeport", "Tasks": [TASK], "Size": 4 * MIB, "Mounted": True},
        {"Name": "left", "Owner": "others", "Tasks": [], "Size": 9 * MIB, "Mounted": False},
    ],
    "BuildCache": 0,
}


class StandInAgent:
    """An introspection API that answers one thing."""

    def __init__(self) -> None:
        self.answer: Any = USAGE

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                body = json.dumps(self.answer if handler.path == "/v1/disk" else {}).encode()
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def agent() -> Iterator[StandInAgent]:
    stand_in = StandInAgent()
    thread = Thread(target=stand_in.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()
    thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["disk", *arguments])


def test_people_see_disks_kinds_tasks_and_what_could_go(agent: StandInAgent) -> None:
    result = run("--agent", agent.address)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "/var/lib/docker 78 % 22.0 MiB 100.0 MiB WARNING" in lines
    assert "images 5.0 MiB 30.0 MiB 30.0 MiB" in lines
    assert "shared layers - 5.0 MiB -" in lines
    assert "containers 2.0 MiB 1.0 MiB 1.0 MiB" in lines
    assert "logs 3.0 MiB ? 0 B" in lines
    assert "volumes 4.0 MiB 9.0 MiB 9.0 MiB" in lines
    assert f"{'1' * 32} 2.0 MiB 3.0 MiB 4.0 MiB" in lines
    assert "old:1 others 30.0 MiB" in lines
    assert "volume left others 9.0 MiB" in lines


def test_of_many_tasks_the_ten_that_hold_most_are_shown(agent: StandInAgent) -> None:
    containers = [
        {"State": "running", "Owner": "homeport", "Task": f"{TASK}{n}", "Writable": n * MIB, "Logs": 0}
        for n in range(12)
    ]
    agent.answer = {**USAGE, "Containers": containers}
    output = run("--agent", agent.address).output
    assert "11.0 MiB" in output
    assert "and 3 tasks that hold less" in output


def test_scripts_get_the_agents_own_answer(agent: StandInAgent) -> None:
    assert json.loads(run("--agent", agent.address, "--output", "json").output) == USAGE


def test_an_agent_that_cannot_tell_is_a_failure_with_its_reason(agent: StandInAgent) -> None:
    agent.answer = {"Error": "CannotConnectToDockerEngineError: no such socket"}
    result = run("--agent", agent.address)
    assert result.exit_code == 1
    assert "CannotConnectToDockerEngineError: no such socket" in result.output


def test_no_agent_is_a_failure_that_says_what_to_do() -> None:
    result = run("--agent", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "no agent of Homeport answers at 127.0.0.1:1" in result.output
    assert "--agent" in result.output


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1.5 * 1024**4, "1.5 TiB")]
)
def test_sizes_are_written_for_people(number: float, text: str) -> None:
    assert size(number) == text
