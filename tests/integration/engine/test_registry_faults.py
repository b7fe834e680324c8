"""Pulls from a real registry that wants a password, falters, is slow, or goes away in the middle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from agent.protocol import acs
from tests.integration.engine.harness import Harness
from tests.support.engine import make_busybox_image
from tests.support.faulty_registry import FaultyRegistry
from tests.support.fixtures import TrackProcess
from tests.support.registry import PASSWORD, USERNAME, RegistryProcess

pytestmark = pytest.mark.engine

CREDENTIALS = {"username": USERNAME, "password": PASSWORD}


class Shelf:
    """A registry with an image that the engine does not have."""

    def __init__(self, process: RegistryProcess, client: docker.DockerClient) -> None:
        self.process = process
        self.client = client
        self.references: list[str] = []

    def put(self, name: str = "web") -> str:
        """Push an image of that name; returns its name in the registry."""
        reference = f"{self.process.address}/{name}:1"
        make_busybox_image(self.client, reference, ballast=os.urandom(128 * 1024))
        assert "digest" in self.client.images.push(reference, auth_config=CREDENTIALS)
        self.client.images.remove(reference)
        self.references.append(reference)
        return reference

    def behind(self, proxy: FaultyRegistry, name: str = "web") -> str:
        """The name by which an image that was pushed is found behind a proxy."""
        self.put(name)
        reference = f"{proxy.address}/{name}:1"
        self.references.append(reference)
        return reference


@pytest.fixture
def references(docker_client: docker.DockerClient, idle_harness: Harness) -> Iterator[list[str]]:
    """Images that are removed at the end."""
    used: list[str] = []
    yield used
    idle_harness.remove_everything()
    there = {tag for image in docker_client.images.list() for tag in image.tags}
    for reference in there.intersection(used):
        docker_client.images.remove(reference, force=True)


@pytest.fixture
def shelf(
    processes: TrackProcess, tmp_path: Path, docker_client: docker.DockerClient, references: list[str]
) -> Shelf:
    """A registry that lets anybody in."""
    return _shelf(RegistryProcess(tmp_path / "registry"), processes, docker_client, references)


def _shelf(
    process: RegistryProcess, processes: TrackProcess, client: docker.DockerClient, references: list[str]
) -> Shelf:
    processes(process).start()
    shelf = Shelf(process, client)
    shelf.references = references
    return shelf


@pytest.fixture
def proxy(shelf: Shelf) -> Iterator[FaultyRegistry]:
    """The same registry, as faulty as the test wants it."""
    with FaultyRegistry(shelf.process.address).serving() as faulty:
        yield faulty


async def test_a_registry_that_wants_a_password_gets_the_agents_own(
    idle_harness: Harness,
    processes: TrackProcess,
    tmp_path: Path,
    docker_client: docker.DockerClient,
    references: list[str],
) -> None:
    locked = RegistryProcess(tmp_path / "locked", private=True)
    shelf = _shelf(locked, processes, docker_client, references)
    reference = shelf.put()
    await idle_harness.start()
    refused = idle_harness.task(idle_harness.container(image=reference), network_mode="none")
    await idle_harness.engine.accept((refused,))
    stopped = await idle_harness.reported(refused, "STOPPED")
    assert stopped.containers[0].reason is not None
    assert stopped.containers[0].reason.startswith("CannotPullContainerError: ")
    assert "no basic auth credentials" in stopped.containers[0].reason
    await idle_harness.stop()

    await idle_harness.start(
        engine_auth_type="docker", engine_auth_data=json.dumps({locked.address: CREDENTIALS})
    )
    try:
        task = await idle_harness.run(idle_harness.container(image=reference))
        digest = (await idle_harness.reported(task, "RUNNING")).containers[0].image_digest
        assert docker_client.images.get(reference).attrs["RepoDigests"] == [
            f"{reference.rpartition(':')[0]}@{digest}"
        ]
    finally:
        await idle_harness.stop()


async def test_errors_of_a_registry_are_waited_out(
    harness: Harness, shelf: Shelf, proxy: FaultyRegistry
) -> None:
    reference = shelf.behind(proxy)
    proxy.errors = [503]
    await harness.run(harness.container(image=reference), network_mode="none")
    assert proxy.errors == []


async def test_a_registry_that_is_slow_is_waited_for(
    idle_harness: Harness, shelf: Shelf, proxy: FaultyRegistry
) -> None:
    reference = shelf.behind(proxy)
    proxy.pause_s = 0.04
    await idle_harness.start(image_pull_inactivity_timeout_s=2.0)
    try:
        task = idle_harness.task(idle_harness.container(image=reference), network_mode="none")
        await idle_harness.engine.accept((task,))
        seen: set[tuple[str, int]] = set()

        def loaded() -> bool:
            seen.update((pull.state, pull.bytes_loaded) for pull in idle_harness.engine.pulls())
            return "RUNNING" in idle_harness.statuses(task)

        await idle_harness.eventually(loaded, "it has come in the end")
        assert len({loaded for state, loaded in seen if state == "PULLING"}) > 3, "it was seen to come"
        assert not [state for state, _ in seen if state == "RETRYING"]
    finally:
        await idle_harness.stop()


async def test_a_registry_that_goes_away_in_the_middle_of_a_pull_is_asked_again_when_it_is_back(
    harness: Harness, shelf: Shelf, proxy: FaultyRegistry
) -> None:
    reference = shelf.behind(proxy)
    proxy.flow.clear()
    task = harness.task(harness.container(image=reference), network_mode="none")
    await harness.engine.accept((task,))
    await harness.eventually(lambda: proxy.requests["blobs"], "a layer is under way")
    (pull,) = harness.engine.pulls()
    assert (pull.image, pull.state, pull.layers_done) == (reference, "PULLING", 0)
    shelf.process.kill()
    proxy.cut_layers = 10
    proxy.flow.set()
    shelf.process.start()
    proxy.cut_layers = 0

    await harness.reported(task, "RUNNING")
    assert harness.engine.pulls() == ()


async def test_a_registry_that_falls_silent_is_given_up_and_asked_again_and_others_wait_meanwhile(
    idle_harness: Harness, shelf: Shelf, proxy: FaultyRegistry
) -> None:
    references = [shelf.behind(proxy, name) for name in ("web", "app")]
    proxy.flow.clear()
    await idle_harness.start(image_pull_inactivity_timeout_s=1.0, image_pull_concurrency=1)
    try:
        containers = [idle_harness.container(image=reference) for reference in references]
        tasks = [idle_harness.task(container, network_mode="none") for container in containers]
        await idle_harness.engine.accept(tasks)
        states = {"PULLING", "WAITING"}
        await idle_harness.eventually(
            lambda: {pull.state for pull in idle_harness.engine.pulls()} == states, "one waits for the other"
        )
        await idle_harness.eventually(
            lambda: any(pull.state == "RETRYING" for pull in idle_harness.engine.pulls()),
            "a pull is broken off",
        )
        proxy.flow.set()
        for task in tasks:
            await idle_harness.reported(task, "RUNNING")
    finally:
        await idle_harness.stop()


async def test_many_tasks_share_one_pull(harness: Harness, shelf: Shelf, proxy: FaultyRegistry) -> None:
    reference = shelf.behind(proxy)
    tasks: list[acs.Task] = [
        harness.task(harness.container(image=reference), network_mode="none") for _ in range(3)
    ]
    await harness.engine.accept(tasks)
    for task in tasks:
        await harness.reported(task, "RUNNING")
    assert proxy.requests["manifests"] < 2 * len(tasks), "a pull asks at least twice"


async def test_what_was_pulled_goes_when_a_disk_is_full_and_what_was_there_stays(
    idle_harness: Harness, shelf: Shelf, docker_client: docker.DockerClient
) -> None:
    pulled, present = shelf.put("pulled"), shelf.put("present")
    docker_client.images.pull(present)
    await idle_harness.start()
    containers = (idle_harness.container("a", image=pulled), idle_harness.container("b", image=present))
    task = await idle_harness.run(*containers, network_mode="none")
    await idle_harness.engine.stop_tasks([task.arn or ""])
    await idle_harness.reported(task, "STOPPED")
    await idle_harness.stop()
    assert {image.names for image in idle_harness.engine.pulled_images()} == {(pulled,)}

    await idle_harness.start(disk_full_percent=1)
    try:
        await idle_harness.eventually(
            lambda: not idle_harness.engine.pulled_images(), "the image that was pulled is removed"
        )
        left = {tag for image in docker_client.images.list() for tag in image.tags}
        assert pulled not in left
        assert present in left
        assert idle_harness.engine.disks().status == "FULL"
        assert idle_harness.engine.records() == (), "stopped tasks went before"
    finally:
        await idle_harness.stop()
