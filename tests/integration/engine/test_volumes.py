"""Docker volumes and volumesFrom on the real engine."""

from collections.abc import Iterator

import docker
import pytest

from agent.protocol import acs
from tests.integration.engine.harness import Harness
from tests.support.engine import TEST_LABELS


@pytest.fixture
def volume_name(cluster_name: str, docker_client: docker.DockerClient) -> Iterator[str]:
    """The name of a docker volume that is removed at the end. To be asked for before the harness, which
    removes the containers that use it.
    """
    name = f"{cluster_name}-volume"
    yield name
    for volume in docker_client.volumes.list(filters={"name": name}):
        volume.remove(force=True)


def shared(name: str, **members: object) -> acs.Volume:
    """A docker volume that outlives the task."""
    configuration = acs.DockerVolumeConfiguration(scope="shared", labels=TEST_LABELS, **members)  # type: ignore[arg-type]
    return acs.Volume(name=name, type="docker", docker_volume_configuration=configuration)


def mount(name: str, *, read_only: bool = False) -> tuple[acs.MountPoint, ...]:
    """The volume at /data."""
    return (acs.MountPoint(source_volume=name, container_path="/data", read_only=read_only),)


async def test_a_shared_volume_is_made_with_its_driver_options_and_labels_and_then_used_as_it_is(
    volume_name: str, harness: Harness, docker_client: docker.DockerClient
) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    first = shared(volume_name, autoprovision=True, driver="local", driver_opts=options)
    await harness.run(harness.container(mount_points=mount(volume_name)), volumes=(first,))

    made = docker_client.volumes.get(volume_name).attrs
    assert (made["Driver"], made["Options"]) == ("local", options)
    assert made["Labels"] == TEST_LABELS
    # Whatever another definition says of it, it is there.
    second = shared(volume_name, autoprovision=True, driver="no-such-driver")
    await harness.run(harness.container(mount_points=mount(volume_name)), volumes=(second,))


async def test_a_shared_volume_that_is_not_there_is_not_made_without_autoprovision(
    volume_name: str, harness: Harness, docker_client: docker.DockerClient
) -> None:
    task = harness.task(harness.container(mount_points=mount(volume_name)), volumes=(shared(volume_name),))
    await harness.engine.accept((task,))

    report = await harness.reported(task, "STOPPED")
    assert f"there is no docker volume {volume_name} on this instance" in report.reason
    assert "autoprovision" in report.reason
    assert docker_client.volumes.list(filters={"name": volume_name}) == []


async def test_volumes_from_another_container_are_there_and_may_be_read_only(harness: Harness) -> None:
    source = harness.shell(
        "echo from source > /data/file; sleep 0.1",
        name="source",
        essential=False,
        mount_points=mount("scratch"),
    )
    volume = acs.Volume(name="scratch", type="host", host=acs.HostVolumeProperties())
    wait = "until [ -s /data/file ]; do sleep 0.05; done; cat /data/file; touch /data/x 2>&1; sleep 0.1"
    task = harness.task(
        harness.shell("while :; do sleep 0.05; done", name="main"),
        source,
        harness.shell(
            wait,
            name="reader",
            essential=False,
            volumes_from=(acs.VolumeFrom(source_container="source", read_only=True),),
        ),
        volumes=(volume,),
    )
    await harness.engine.accept((task,))

    def read() -> str:
        state = harness.record(task).state.containers[2]
        return harness.output(task, "reader") if state.exit_code is not None else ""

    output = await harness.eventually(read, "the reader has ended")
    assert "from source" in output
    assert "Read-only file system" in output
