"""The engine helpers, and the check that no test leaves containers behind."""

import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests.support.engine import TEST_LABELS

REPOSITORY = Path(__file__).resolve().parents[3]

LEAKS_A_CONTAINER = """
import pytest
from tests.support.engine import TEST_LABELS
@pytest.mark.engine
def test_it(docker_client, busybox_image):
    docker_client.api.create_container(busybox_image, labels=TEST_LABELS, name="homeport-test-forgotten")
"""


@pytest.mark.engine
def test_the_busybox_image_runs_its_applets(docker_client: docker.DockerClient, busybox_image: str) -> None:
    output = docker_client.containers.run(
        busybox_image, ["/bin/cat", "/www/index.html"], remove=True, labels=TEST_LABELS, network_mode="none"
    )
    assert output == b"hello from homeport\n"


@pytest.mark.engine
def test_a_test_that_leaves_a_container_fails_and_the_container_is_removed(
    tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    (tmp_path / "test_sample.py").write_text(LEAKS_A_CONTAINER)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert "the test left in the engine: container homeport-test-forgotten" in result.stdout
    assert not docker_client.api.containers(all=True, filters={"name": "homeport-test-forgotten"})
