"""Removes images that this agent brought and that nobody uses.

An image is in use while any container is made of it, ours or not, and while a task of ours names it.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

import structlog

from agent.engine.book import TaskBook
from agent.engine.docker import Docker
from agent.engine.errors import EngineError, NoSuchImageError
from agent.engine.image_ledger import ImageAge, ImageLedger, PulledImage
from agent.engine.image_reference import parse_reference
from agent.engine.images import Images
from agent.engine.records import ImageInspection

log = structlog.get_logger(__name__)


def candidates(
    images: Sequence[ImageAge], used: Collection[str], kept: Collection[str], minimum_age_s: float
) -> list[PulledImage]:
    """What may be removed, the longest unused first. ``used`` are ids and full names, ``kept`` full names."""
    free = [
        each
        for each in images
        if each.since_pulled >= minimum_age_s
        and each.image.image_id not in used
        and not any(name in used or name in kept for name in _full_names(each.image.names))
    ]
    return [each.image for each in sorted(free, key=lambda each: (-each.since_used, each.image.image_id))]


def _full_names(names: Collection[str]) -> frozenset[str]:
    return frozenset(parse_reference(name).full_name for name in names)


class ImageCleanup:
    """Goes through the images that this agent brought."""

    def __init__(
        self, docker: Docker, images: Images, ledger: ImageLedger, book: TaskBook, kept: Collection[str]
    ) -> None:
        """``kept`` are names of images that are never removed."""
        self._docker = docker
        self._images = images
        self._ledger = ledger
        self._book = book
        self._kept = _full_names(kept)

    async def clean_up(
        self, minimum_age_s: float, most: int | None, enough: Callable[[], Awaitable[bool]]
    ) -> None:
        """Remove images that nobody uses, at most ``most``, until it is ``enough``.

        One that cannot be removed is tried again the next time. Raises ``EngineError`` if the engine does not
        tell what its containers use.
        """
        used = self._used_by_tasks() | await self._docker.images_of_containers()
        self._ledger.used(used)
        removed = 0
        for image in candidates(self._ledger.ages(), used, self._kept, minimum_age_s):
            if removed == most or await enough():
                return
            try:
                removed += await self._images.remove(partial(self._remove, image))
            except EngineError as error:
                log.info("image_stays", image=image.image_id, names=image.names, reason=error.reason)

    def _used_by_tasks(self) -> frozenset[str]:
        """Full names and ids of the images of every task that is known, even of one that has yet to begin."""
        names = {container.image or "" for record in self._book for container in record.definition.containers}
        ids = {state.image_id or "" for record in self._book for state in record.state.containers}
        return (_full_names(names - {""}) | ids) - {""}

    async def _remove(self, image: PulledImage) -> bool:
        """Take our names from an image; it goes with its last name. True if it is gone.

        Names that mean another image by now, or that somebody else gave it, stay.
        """
        used = self._used_by_tasks()
        if image.image_id in used or not used.isdisjoint(_full_names(image.names)):
            return False  # a task came in the meantime
        for name in image.names:
            seen = await self._look(name)
            if seen is not None and seen.image_id == image.image_id:
                await self._docker.remove_image(name)
        left = await self._look(image.image_id)
        if left is not None and not any("@" not in name for name in left.names):
            await self._docker.remove_image(image.image_id)
            left = await self._look(image.image_id)
        self._ledger.remove(image.image_id)
        log.info("image_removed", image=image.image_id, names=image.names, gone=left is None)
        return left is None

    async def _look(self, name: str) -> ImageInspection | None:
        try:
            return await self._docker.inspect_image(name)
        except NoSuchImageError:
            return None
