"""When images are pulled, how often, as whom, and that each is pulled once at a time."""

import asyncio
from typing import cast

import pytest

from agent.engine.docker import Docker
from agent.engine.errors import (
    CannotPullContainerError,
    DockerTimeoutError,
    EngineError,
    EngineUnavailableError,
    NoSuchImageError,
)
from agent.engine.image_ledger import ImageLedger, PulledImage
from agent.engine.images import PULL_PAUSES_S, Images
from agent.engine.pull_progress import PullListener
from agent.engine.records import ImageInspection
from agent.engine.registry_credentials import RegistryCredentials, StaticCredentials
from tests.support.clock import FakeClock

IMAGE = ImageInspection("sha256:1", "sha256:d", ("web:latest",))
DIGEST = "sha256:" + "e" * 64
NO_SUCH_HOST = CannotPullContainerError("dial tcp: lookup registry: no such host")


class Store:
    """An engine's image store and a registry that can fail."""

    def __init__(self, *, present: bool, failures: tuple[EngineError, ...] = ()) -> None:
        self.present = present
        self.failures = list(failures)
        self.pulls = 0
        self.callers: list[RegistryCredentials | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def inspect_image(self, reference: str) -> ImageInspection:
        if not self.present:
            raise NoSuchImageError(reference)
        return IMAGE

    async def pull(
        self, reference: str, credentials: RegistryCredentials | None, listener: PullListener
    ) -> None:
        self.pulls += 1
        self.callers.append(credentials)
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        listener.hear({"status": f"Digest: {DIGEST}"})
        self.present = True


class Disk:
    """What the ledger has written."""

    def __init__(self) -> None:
        self.images: dict[str, PulledImage] = {}

    def ledger(self, clock: FakeClock) -> ImageLedger:
        return ImageLedger(
            self.images.values(),
            clock,
            lambda image: self.images.update({image.image_id: image}),
            lambda image_id: self.images.pop(image_id),
        )


def images(
    store: Store, behavior: str, static: str = "", disk: Disk | None = None, clock: FakeClock | None = None
) -> Images:
    """Images of this store."""
    clock = clock or FakeClock()
    credentials = StaticCredentials.parse("docker" if static else "", static)
    return Images(cast("Docker", store), behavior, credentials, (disk or Disk()).ledger(clock), clock)


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
    assert (await images(store, behavior).ensure("web")).image_id == IMAGE.image_id
    assert store.pulls == pulls


async def test_the_digest_is_the_one_that_the_registry_named() -> None:
    assert (await images(Store(present=False), "always").ensure("web")).digest == DIGEST
    assert (await images(Store(present=True), "prefer-cached").ensure("web")).digest == IMAGE.digest


async def test_once_pulls_the_first_time_only_and_remembers_it_over_a_restart() -> None:
    store, disk = Store(present=True), Disk()
    once = images(store, "once", disk=disk)
    await once.ensure("web")
    await once.ensure("web")
    await images(store, "once", disk=disk).ensure("web")

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
async def test_only_the_default_falls_back_on_what_is_there(
    behavior: str, present: bool, runs: bool, fake_clock: FakeClock
) -> None:
    ensuring = images(Store(present=present, failures=(NO_SUCH_HOST,) * 5), behavior).ensure("web")
    if runs:
        assert await ensuring == IMAGE
    else:
        with pytest.raises(CannotPullContainerError, match="no such host"):
            await ensuring
    assert fake_clock.monotonic() == pytest.approx(sum(PULL_PAUSES_S))


async def test_a_registry_that_falters_is_asked_again(fake_clock: FakeClock) -> None:
    store = Store(present=False, failures=(NO_SUCH_HOST, EngineUnavailableError("connection reset")))
    await images(store, "prefer-cached").ensure("web")

    assert store.pulls == 3
    assert fake_clock.monotonic() == pytest.approx(sum(PULL_PAUSES_S[:2]))


@pytest.mark.parametrize(
    "refusal",
    [
        CannotPullContainerError("manifest for registry/web:1 not found: manifest unknown"),
        CannotPullContainerError("pull access denied for web, repository does not exist"),
        CannotPullContainerError("Head https://registry/v2/: no basic auth credentials"),
        DockerTimeoutError("Could not transition to pulled; timed out after waiting 7200 s"),
    ],
)
async def test_a_clear_refusal_is_taken_at_once(refusal: EngineError, fake_clock: FakeClock) -> None:
    store = Store(present=False, failures=(refusal,) * 5)
    with pytest.raises(type(refusal)):
        await images(store, "prefer-cached").ensure("web")

    assert store.pulls == 1
    assert fake_clock.monotonic() == 0


async def test_tasks_that_want_the_same_image_share_one_pull_and_one_giving_up_does_not_end_it() -> None:
    store = Store(present=False)
    store.gate.clear()
    shared = images(store, "prefer-cached")
    waiting = [asyncio.create_task(shared.ensure("web")) for _ in range(3)]
    while not store.pulls:
        await asyncio.sleep(0)
    assert [progress.image for progress in shared.progress()] == ["web"]
    waiting[0].cancel()
    store.gate.set()

    assert [image.image_id for image in await asyncio.gather(*waiting[1:])] == [IMAGE.image_id] * 2
    assert store.pulls == 1
    assert shared.progress() == ()
    await asyncio.gather(waiting[0], return_exceptions=True)


async def test_a_pull_is_made_as_whoever_the_task_says_and_shared_only_among_the_same() -> None:
    store = Store(present=False)
    store.gate.clear()
    shared = images(store, "always", static='{"docker.io": {"username": "carol", "password": "secret"}}')
    alice, bob = RegistryCredentials("alice", "secret"), RegistryCredentials("bob", "secret")
    waiting = [asyncio.create_task(shared.ensure("web", who)) for who in (alice, bob, alice, None)]
    while store.pulls < 3:
        await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(*waiting)

    assert store.callers == [alice, bob, RegistryCredentials("carol", "secret")]
    assert "secret" not in repr(alice)


async def test_nobody_is_told_that_an_image_is_there_while_it_is_being_removed() -> None:
    store = Store(present=True)
    shared = images(store, "prefer-cached")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def removal() -> None:
        begun.set()
        await go_on.wait()
        store.present = False

    removing = asyncio.create_task(shared.remove(removal))
    await begun.wait()
    ensuring = asyncio.create_task(shared.ensure("web"))
    go_on.set()
    await asyncio.gather(removing, ensuring)

    assert store.pulls == 1


async def test_a_pull_that_is_repeated_says_so(fake_clock: FakeClock) -> None:
    store = Store(present=False, failures=(NO_SUCH_HOST,))
    shared = images(store, "always", clock=fake_clock)
    ensuring = asyncio.create_task(shared.ensure("web"))
    await asyncio.sleep(PULL_PAUSES_S[0] / 2)

    assert [(pull.state, pull.attempt) for pull in shared.progress()] == [("RETRYING", 1)]
    await ensuring
