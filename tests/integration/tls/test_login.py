"""From `homeport up --lan` to AWS's client on a laptop, by what the commands print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT, UpProcess, clean_environment, http_get, wait_until

BOTO3 = """
import boto3
session = boto3.Session(profile_name="lab")
print(session.client("sts").get_caller_identity()["Arn"])
print(session.client("ecs").list_clusters()["clusterArns"])
"""


class UpOnTheNetwork(UpProcess):
    """`homeport up --lan`, which serves HTTPS."""

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "tls" / "ca.pem"

    def ready(self) -> bool:
        if not self.ca_file.exists():
            return False
        answer = http_get(f"https://127.0.0.1:{self.port}/healthz", ca_file=self.ca_file)
        return answer is not None and answer[0] == 200


@pytest.fixture
def up(tmp_path: Path, processes: TrackProcess) -> UpOnTheNetwork:
    process = processes(UpOnTheNetwork(tmp_path / "up", "--lan", "--no-agent"))
    process.start()
    return process


def homeport(*arguments: str | Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HOMEPORT, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=clean_environment(**environment),
    )


def test_a_laptop_logs_in_with_the_line_that_up_prints(up: UpOnTheNetwork, tmp_path: Path) -> None:
    wait_until(lambda: "homeport login" in up.log(), "the line for a laptop is printed")
    found = re.search(r"homeport login (https://\S+#sha256:[0-9a-f]{64})", up.log())
    assert found is not None, up.log()
    created = homeport(
        *("user", "create", "alice", "--role", "viewer", "--output", "json", "--data-dir", up.data_dir)
    )
    key = json.loads(created.stdout)
    laptop = {"HOME": str(tmp_path / "laptop"), "HOMEPORT_ACCESS_KEY_ID": key["accessKeyId"]}
    laptop["XDG_CONFIG_HOME"] = str(tmp_path / "laptop" / ".config")
    login = ("login", "--name", "lab", "--aws-profile", "lab")

    wrong = homeport(*login, found[1][:-4] + "0000", stdin=key["secretAccessKey"], **laptop)
    assert wrong.returncode == 1
    assert "is not the controller that was expected" in wrong.stderr

    result = homeport(*login, found[1], stdin=key["secretAccessKey"], **laptop)
    assert result.returncode == 0, result.stderr
    assert "user/alice (viewer)" in result.stdout
    listed = homeport("--profile", "lab", "services", "--output", "json", **laptop)
    assert json.loads(listed.stdout) == {"services": []}
    said = subprocess.run(
        [sys.executable, "-c", BOTO3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(**laptop),
    )
    assert "user/alice" in said.stdout, said.stderr
    assert "cluster/default" in said.stdout
    assert key["secretAccessKey"] not in up.log()


@pytest.mark.engine
def test_the_local_agent_of_up_trusts_its_controller(
    tmp_path: Path, processes: TrackProcess, docker_engine: None, cluster_name: str
) -> None:
    up = processes(UpOnTheNetwork(tmp_path / "up", "--lan", "--cluster", cluster_name))
    up.start()

    def connected() -> bool:
        arguments = ("--data-dir", up.data_dir, "--cluster", cluster_name, "--output", "json")
        listed = json.loads(homeport("instances", *arguments).stdout)["containerInstances"]
        return any(instance["agentConnected"] for instance in listed)

    wait_until(connected, "the agent is connected")
    assert up.stop() == 0
