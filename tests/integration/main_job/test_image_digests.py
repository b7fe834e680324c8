"""All tasks of a deployment run the same bits, wherever the tag has gone since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.main_job.homeport import Homeport
from tests.support.engine import make_busybox_image
from tests.support.fixtures import TrackProcess
from tests.support.registry import RegistryProcess

pytestmark = pytest.mark.engine


class MovingTag:
    """A tag in a registry that means another image whenever the test wants."""

    def __init__(self, homeport: Homeport, registry: RegistryProcess) -> None:
        self.reference = f"{registry.address}/web:1"
        self._engine = homeport.engine
        self.image_ids: list[str] = []

    def move(self) -> str:
        """Push another image under the tag; returns its digest."""
        make_busybox_image(self._engine, self.reference)
        image = self._engine.images.get(self.reference)
        assert image.id is not None
        self.image_ids.append(image.id)
        assert "digest" in self._engine.images.push(self.reference)
        (digest,) = self._engine.images.get(self.reference).attrs["RepoDigests"]
        return str(digest.partition("@")[2])


@pytest.fixture
def tag(homeport: Homeport, processes: TrackProcess, tmp_path: Path) -> Iterator[MovingTag]:
    """A tag, and an agent that asks the registry at every start of a task."""
    registry = processes(RegistryProcess(tmp_path / "registry"))
    registry.start()
    homeport.agent.stop()
    homeport.agent = processes(homeport.new_agent("agent", ECS_IMAGE_PULL_BEHAVIOR="always"))
    homeport.agent.start()
    homeport.wait_for_connection()
    moving = MovingTag(homeport, registry)
    yield moving
    homeport.end()
    homeport.remove_containers()
    for image_id in moving.image_ids:
        homeport.engine.images.remove(image_id, force=True)


def digests(homeport: Homeport, count: int) -> set[str]:
    """The digests that the service's tasks run, once there are so many tasks."""
    homeport.eventually(lambda: len(homeport.containers()) == count, f"{count} containers run")
    homeport.wait_until_stable("web")
    return {container["imageDigest"] for task in homeport.tasks() for container in task["containers"]}


def test_a_deployment_stays_with_the_image_of_its_first_task_until_a_new_one_is_forced(
    homeport: Homeport, tag: MovingTag
) -> None:
    first = tag.move()
    definition = homeport.register("web", {"image": tag.reference, "stopTimeout": 1})
    homeport.create_service("web", definition, 1)
    assert digests(homeport, 1) == {first}

    second = tag.move()
    assert second != first
    homeport.ecs("UpdateService", service="web", desiredCount=2)
    assert digests(homeport, 2) == {first}
    running = {homeport.engine.api.inspect_container(id_)["Image"] for id_ in homeport.containers().values()}
    assert running == {tag.image_ids[0]}
    shown = {container["image"] for task in homeport.tasks() for container in task["containers"]}
    assert shown == {tag.reference}

    homeport.ecs("UpdateService", service="web", forceNewDeployment=True)
    homeport.eventually(lambda: digests(homeport, 2) == {second}, "the new deployment runs the newer image")
    (deployment,) = homeport.ecs("ListServiceDeployments", service="web", status=["SUCCESSFUL"])[
        "serviceDeployments"
    ][:1]
    (revision,) = homeport.client.ecs(
        "DescribeServiceRevisions", serviceRevisionArns=[deployment["targetServiceRevisionArn"]]
    )["serviceRevisions"]
    assert [image["imageDigest"] for image in revision["containerImages"]] == [second]
