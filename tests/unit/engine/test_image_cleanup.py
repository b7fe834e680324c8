"""Which images are removed, and which never."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from agent.checkpoint import Checkpoint
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import CannotRemoveImageError, NoSuchImageError
from agent.engine.image_cleanup import ImageCleanup
from agent.engine.image_ledger import ImageLedger
from agent.engine.images import Images
from agent.engine.records import ImageInspection
from agent.engine.registry_credentials import StaticCredentials
from agent.engine.transitions import initial_state
from tests.support.clock import FakeClock
from tests.unit.engine.builders import acs_container, acs_task, plan

HOUR = 3600.0


class Store:
    """An engine's image store: names to ids, and the images that containers use."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.used: set[str] = set()

    async def inspect_image(self, reference: str) -> ImageInspection:
        image_id = self.names.get(reference, reference)
        names = tuple(name for name, of in self.names.items() if of == image_id)
        if not names:
            raise NoSuchImageError(reference)
        return ImageInspection(image_id, "", names)

    async def remove_image(self, name: str) -> None:
        image_id = self.names.get(name, name)
        if image_id in self.used:
            raise CannotRemoveImageError("conflict: it is used by a container")
        self.names = {
            each: of for each, of in self.names.items() if each != name and (name in self.names or of != name)
        }

    async def images_of_containers(self) -> frozenset[str]:
        return frozenset(self.used)


class Scene:
    """A store, what the agent pulled into it, and the cleaning up."""

    def __init__(self, checkpoint: Checkpoint, kept: tuple[str, ...] = ()) -> None:
        self.clock = FakeClock()
        self.store = Store()
        docker = cast("Docker", self.store)
        self.ledger = ImageLedger((), self.clock, lambda _: None, lambda _: None)
        self.book = TaskBook(checkpoint, lambda *_: None, lambda _: None)
        images = Images(docker, "prefer-cached", StaticCredentials({}), self.ledger, self.clock)
        self.cleanup = ImageCleanup(docker, images, self.ledger, self.book, kept)

    def pulled(self, *names: str) -> None:
        """Images that the agent has pulled, one after the other."""
        for name in names:
            self.store.names[name] = f"id-{name}"
            self.ledger.pulled(name, f"id-{name}", was_there=False)
            self.clock.advance(1)

    def task(self, image: str) -> None:
        """A task that has yet to begin."""
        own = plan()
        self.book.add(TaskRecord(acs_task(acs_container(image=image)), own, initial_state(own)))

    async def clean_up(self, minimum_age_s: float = 0.0, most: int | None = None, enough: int = -1) -> None:
        """Clean up, until no more than ``enough`` names are left."""

        async def is_enough() -> bool:
            return len(self.store.names) <= enough

        await self.cleanup.clean_up(minimum_age_s, most, is_enough)


@pytest.fixture
async def checkpoint(tmp_path: Path) -> AsyncIterator[Checkpoint]:
    opened = Checkpoint(tmp_path / "agent.db")
    yield opened
    await opened.close()


@pytest.fixture
def scene(checkpoint: Checkpoint) -> Scene:
    return Scene(checkpoint)


async def test_what_nobody_uses_goes(scene: Scene) -> None:
    scene.pulled("web", "app")
    await scene.clean_up()
    assert scene.store.names == {}
    assert scene.ledger.all() == ()


async def test_an_image_that_the_agent_did_not_bring_stays(scene: Scene) -> None:
    scene.store.names = {"theirs": "id-theirs", "pulled-again": "id-again"}
    scene.ledger.pulled("pulled-again", "id-again", was_there=True)
    await scene.clean_up()
    assert set(scene.store.names) == {"theirs", "pulled-again"}


async def test_an_image_that_any_container_uses_stays(scene: Scene) -> None:
    scene.pulled("web")
    scene.store.used.add("id-web")
    await scene.clean_up()
    assert set(scene.store.names) == {"web"}


async def test_an_image_that_a_task_waits_for_stays(scene: Scene) -> None:
    scene.pulled("web", "app")
    scene.task("web")
    await scene.clean_up()
    assert set(scene.store.names) == {"web"}


async def test_a_task_may_name_an_image_in_another_way(scene: Scene) -> None:
    scene.pulled("docker.io/library/web:latest")
    scene.task("web")
    await scene.clean_up()
    assert set(scene.store.names) == {"docker.io/library/web:latest"}


async def test_an_image_that_is_to_be_kept_stays(checkpoint: Checkpoint) -> None:
    scene = Scene(checkpoint, kept=("web",))
    scene.pulled("web", "app")
    await scene.clean_up()
    assert set(scene.store.names) == {"web"}


async def test_a_young_image_stays(scene: Scene) -> None:
    scene.pulled("old")
    scene.clock.advance(HOUR)
    scene.pulled("young")
    await scene.clean_up(minimum_age_s=HOUR)
    assert set(scene.store.names) == {"young"}


async def test_the_longest_unused_go_first_and_only_so_many(scene: Scene) -> None:
    scene.pulled("a", "b", "c", "d")
    scene.ledger.used(["id-a"])
    await scene.clean_up(most=2)
    assert set(scene.store.names) == {"a", "d"}


async def test_it_stops_when_it_is_enough(scene: Scene) -> None:
    scene.pulled("a", "b", "c")
    await scene.clean_up(enough=2)
    assert set(scene.store.names) == {"b", "c"}


async def test_a_name_that_means_another_image_by_now_stays(scene: Scene) -> None:
    scene.pulled("web")
    scene.store.names["web"] = "id-built-here"
    await scene.clean_up()
    assert scene.store.names == {"web": "id-built-here"}


async def test_an_image_to_which_somebody_gave_a_name_of_his_own_keeps_that(scene: Scene) -> None:
    scene.pulled("web")
    scene.store.names["mine"] = "id-web"
    await scene.clean_up()
    assert scene.store.names == {"mine": "id-web"}


async def test_an_image_whose_tag_has_moved_on_goes_with_its_digest(scene: Scene) -> None:
    scene.pulled("web")
    scene.store.names = {"web": "id-newer", "web@sha256:old": "id-web"}
    scene.ledger.pulled("web", "id-newer", was_there=False)
    scene.task("web")
    await scene.clean_up()
    assert scene.store.names == {"web": "id-newer"}


async def test_one_that_comes_into_use_in_between_stays_and_is_tried_again_later(scene: Scene) -> None:
    scene.pulled("web")
    seen = scene.store.images_of_containers

    async def then_used() -> frozenset[str]:
        before = await seen()
        scene.store.used.add("id-web")
        return before

    scene.store.images_of_containers = then_used  # type: ignore[method-assign]
    await scene.clean_up()
    assert set(scene.store.names) == {"web"}
    assert len(scene.ledger.ages()) == 1
