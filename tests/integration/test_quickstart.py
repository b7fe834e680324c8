"""`./deploy/quickstart.sh` as a person runs it: once, again, and away with it."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.processes import REPOSITORY, agent_ports, clean_environment, free_port, http_get

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="quickstart.sh goes on through sudo, which may ask"),
]
SCRIPT = REPOSITORY / "deploy" / "quickstart.sh"


class Quickstart:
    """The script with a data directory and ports of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.endpoint = f"127.0.0.1:{free_port()}"
        self.environment = clean_environment(
            HOMEPORT_DATA_DIR=str(data_dir), HOMEPORT_LISTEN=self.endpoint, **agent_ports()
        )
        # Installing is tried by the machine that runs these tests; pip may need these.
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [SCRIPT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
            env=self.environment,
            cwd=REPOSITORY,
        )

    def shell(self, line: str) -> str:
        """A line in a shell that has evaluated what the script says to evaluate."""
        exports = f'eval "$(.venv/bin/homeport env --data-dir {self.data_dir})"'
        result = subprocess.run(
            ["bash", "-euc", f"{exports}\n{line}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=clean_environment(),
            cwd=REPOSITORY,
        )
        return result.stdout


@pytest.fixture
def quickstart(tmp_path: Path, docker_client: docker.DockerClient) -> Iterator[Quickstart]:
    script = Quickstart(tmp_path / "homeport")
    yield script
    script.run("--stop", "--purge")
    if docker_client.images.list(name="homeport/quickstart"):  # a run that failed was not purged
        docker_client.images.remove("homeport/quickstart:1")


def test_two_tasks_answer_over_http_and_a_second_run_leaves_them_as_they_are(
    quickstart: Quickstart, docker_client: docker.DockerClient
) -> None:
    first = run_well(quickstart)
    addresses = re.findall(r"^ +(http://127\.0\.0\.1:\d+/)$", first, re.MULTILINE)
    assert len(addresses) == 2
    for address in addresses:
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert b"Hello from Homeport" in answer.read()
    assert f'eval "$(.venv/bin/homeport env --data-dir {quickstart.data_dir})"' in first
    assert f"http://{quickstart.endpoint}" in first
    before = sample_containers(docker_client)

    second = run_well(quickstart)
    assert "run already" in second
    assert "left as it is" in second
    assert sample_containers(docker_client) == before


def test_the_printed_exports_make_the_aws_cli_work(quickstart: Quickstart) -> None:
    aws = os.environ.get("HOMEPORT_TEST_AWS")
    if not aws:
        pytest.skip("HOMEPORT_TEST_AWS does not name an aws command; ./tests/run.sh does")
    run_well(quickstart)
    described = json.loads(quickstart.shell(f"{aws} ecs describe-services --services quickstart"))
    assert [service["runningCount"] for service in described["services"]] == [2]


def test_stop_ends_the_processes_and_leaves_the_containers(
    quickstart: Quickstart, docker_client: docker.DockerClient
) -> None:
    run_well(quickstart)
    before = sample_containers(docker_client)
    stopped = quickstart.run("--stop")
    assert stopped.returncode == 0, stopped.stdout
    assert http_get(f"http://{quickstart.endpoint}/healthz") is None
    assert sample_containers(docker_client) == before
    run_well(quickstart)
    assert sample_containers(docker_client) == before


def test_purge_removes_everything_that_it_made(
    quickstart: Quickstart, docker_client: docker.DockerClient
) -> None:
    run_well(quickstart)
    purged = quickstart.run("--stop", "--purge")
    assert purged.returncode == 0, purged.stdout
    assert sample_containers(docker_client, every=True) == set()
    assert not docker_client.images.list(name="homeport/quickstart")
    assert not quickstart.data_dir.exists()


def test_a_run_that_fails_says_why_and_leaves_nothing_running(quickstart: Quickstart) -> None:
    quickstart.data_dir.mkdir()
    (quickstart.data_dir / "homeport.toml").write_text("region = 7\n")
    failed = quickstart.run()
    assert failed.returncode == 1
    assert "Failed: homeport up ended at its start" in failed.stdout
    assert "region in " in failed.stdout
    assert "Next:" in failed.stdout
    assert http_get(f"http://{quickstart.endpoint}/healthz") is None
    assert not (quickstart.data_dir / "up.pid").exists()


def test_a_wrong_argument_is_a_usage_error(quickstart: Quickstart) -> None:
    result = quickstart.run("--frobnicate")
    assert result.returncode == 2
    assert "quickstart.sh --stop" in result.stdout


def run_well(quickstart: Quickstart) -> str:
    """Run the script, which must succeed; what it said."""
    result = quickstart.run()
    assert result.returncode == 0, result.stdout
    return result.stdout


def sample_containers(client: docker.DockerClient, *, every: bool = False) -> set[str]:
    """Ids of the containers of the sample service on this engine."""
    found = client.containers.list(
        all=every,
        filters={"label": "com.amazonaws.ecs.task-definition-family=quickstart"},
        ignore_removed=True,
    )
    return {str(container.id) for container in found}
