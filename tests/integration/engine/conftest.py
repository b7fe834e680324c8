"""A task engine for each test, and nothing left of it afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from tests.integration.engine.harness import Harness


@pytest.fixture
async def idle_harness(
    tmp_path: Path, cluster_name: str, busybox_image: str, docker_client: docker.DockerClient
) -> AsyncIterator[Harness]:
    """A harness whose engine the test starts (and stops) by itself."""
    harness = Harness(tmp_path / "agent", cluster_name, busybox_image, docker_client)
    try:
        yield harness
    finally:
        harness.remove_everything()


@pytest.fixture
async def harness(idle_harness: Harness) -> AsyncIterator[Harness]:
    """A harness with a running engine."""
    await idle_harness.start()
    try:
        yield idle_harness
    finally:
        await idle_harness.stop()
