"""When images are pulled, and that each is pulled once at a time."""

import asyncio
from typing import cast

import pytest

from agent.engine.docker import Docker
from agent.engine.errors import CannotPullContainerError, NoSuchImageError
from agent.engine.images import Images
from agent.engine.records import ImageInspection
from agent.engine.registry_credentials import RegistryCredentials

IMAGE = ImageInspection("sha256:1", "sha256:d")


class Store:
    """An engine's image store and a registry that can fail."""

    def __init__(self, *, present: bool, reachable: bool = True) -> None:
        self.present = present
        self.reachable = reachable
        self.pulls = 0
        self.callers: list[RegistryCredentials | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def inspect_image(self, reference: str) -> ImageInspection:
        if not self.present:
            raise NoSuchImageError(reference)
        return IMAGE

    async def pull(self, reference: str, credentials: RegistryCredentials | None) -> None:
        self.pulls += 1
        self.callers.append(credentials)
        await self.gate.wait()
        if not self.reachable:
            raise CannotPullContainerError("no such host")
        self.present = True


def images(store: Store, behavior: str) -> Images:
    """Images of this store."""
    return Images(cast("Docker", store), behavior)


@pytest.mark.parametrize(
    ("behavior", "present", "pulls"),
    [
        ("prefer-cached", True, 0),
        ("prefer-cached", False, 1),
        ("once", True, 1),
        ("always", True, 1),
        ("default", True, 1),
    ],
)
async def test_each_behaviour_pulls_when_it_should(behavior: str, present: bool, pulls: int) -> None:
    store = Store(present=present)
    assert await images(store, behavior).ensure("web") == IMAGE
    assert store.pulls == pulls


async def test_once_pulls_the_first_time_only() -> None:
    store = Store(present=False)
    once = images(store, "once")
    await once.ensure("web")
    await once.ensure("web")

    assert store.pulls == 1


@pytest.mark.parametrize(
    ("behavior", "present", "runs"),
    [
        ("default", True, True),
        ("default", False, False),
        ("always", True, False),
        ("once", True, False),
        ("prefer-cached", False, False),
    ],
)
async def test_only_the_default_falls_back_on_what_is_there(behavior: str, present: bool, runs: bool) -> None:
    ensuring = images(Store(present=present, reachable=False), behavior).ensure("web")
    if runs:
        assert await ensuring == IMAGE
    else:
        with pytest.raises(CannotPullContainerError, match="no such host"):
            await ensuring


async def test_tasks_that_want_the_same_image_share_one_pull_and_one_giving_up_does_not_end_it() -> None:
    store = Store(present=False)
    store.gate.clear()
    shared = images(store, "prefer-cached")
    waiting = [asyncio.create_task(shared.ensure("web")) for _ in range(3)]
    while not store.pulls:
        await asyncio.sleep(0)
    waiting[0].cancel()
    store.gate.set()

    assert await asyncio.gather(*waiting[1:]) == [IMAGE, IMAGE]
    assert store.pulls == 1
    await asyncio.gather(waiting[0], return_exceptions=True)


async def test_a_pull_is_made_as_whoever_the_task_says_and_shared_only_among_the_same() -> None:
    store = Store(present=False)
    store.gate.clear()
    shared = images(store, "always")
    alice, bob = RegistryCredentials("alice", "secret"), RegistryCredentials("bob", "secret")
    waiting = [asyncio.create_task(shared.ensure("web", who)) for who in (alice, bob, alice)]
    while store.pulls < 2:
        await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(*waiting)

    assert store.callers == [alice, bob]
    assert "secret" not in repr(alice)
