"""Images from a registry: pulled when they are not there, not pulled again, and their digest known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.main_job.homeport import Homeport
from tests.support.fixtures import TrackProcess
from tests.support.registry import RegistryProcess

pytestmark = pytest.mark.engine


def test_an_image_is_pulled_once_and_used_without_its_registry_afterwards(
    homeport: Homeport, processes: TrackProcess, tmp_path: Path
) -> None:
    registry = processes(RegistryProcess(tmp_path / "registry"))
    registry.start()
    reference = f"{registry.address}/web:1"
    homeport.engine.images.get(homeport.image).tag(reference)
    pushed = homeport.engine.images.push(reference)
    assert "digest" in pushed, pushed
    homeport.engine.images.remove(reference)

    definition = homeport.register(
        "pulled", {"image": reference, "command": ["sleep", "600"], "stopTimeout": 1}
    )
    first = homeport.wait_for_status(homeport.run_task(definition), "RUNNING")
    assert first["pullStartedAt"] <= first["pullStoppedAt"] <= first["startedAt"]
    (digest,) = homeport.engine.images.get(reference).attrs["RepoDigests"]
    assert digest.endswith(first["containers"][0]["imageDigest"])

    registry.stop()
    homeport.wait_for_status(homeport.run_task(definition), "RUNNING")
    homeport.end()
    for container in homeport.engine.containers.list(filters={"ancestor": reference}):
        container.remove(force=True)
    homeport.engine.images.remove(reference, force=True)


def test_a_registry_that_does_not_have_the_image_is_named_in_the_reason(
    homeport: Homeport, processes: TrackProcess, tmp_path: Path
) -> None:
    registry = processes(RegistryProcess(tmp_path / "registry"))
    registry.start()
    definition = homeport.register("missing", {"image": f"{registry.address}/missing:1"})
    task = homeport.wait_for_status(homeport.run_task(definition), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert registry.address in task["stoppedReason"]
