"""A whole Homeport for a test: a real controller, a real agent, the real engine, and a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.main_job.homeport import Homeport
from tests.support import engine
from tests.support.fixtures import TrackProcess


@pytest.fixture
def homeport(
    tmp_path: Path,
    processes: TrackProcess,
    docker_client: docker.DockerClient,
    busybox_image: str,
    cluster_name: str,
) -> Iterator[Homeport]:
    """Controller and agent, connected; whatever they made in the engine is removed at the end."""
    installation = Homeport(tmp_path, processes, docker_client, busybox_image, cluster_name)
    installation.start()
    yield installation
    installation.end()
    left = engine.labelled_objects(docker_client)
    mine = {name: labels for name, labels in left.items() if cluster_name in str(labels)}
    engine.remove_objects(docker_client, mine)
