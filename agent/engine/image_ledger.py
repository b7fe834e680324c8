"""Which images this agent has pulled, and when they were last used: only what it brought does it remove.

It is kept in the checkpoint. Ages are counted in monotonic time, so that a wall clock that jumps makes no
image old.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from agent.protocol.clock import Clock

_WRITTEN_AFTER_S = 60.0
"""Uses that follow each other so closely are not worth a write each."""


class PulledImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image as it is kept on disk. Times are in epoch seconds."""

    image_id: str
    names: tuple[str, ...]
    """The names by which it was pulled."""
    ours: bool
    """Whether it came by a pull of ours; one that was there before is not removed."""
    pulled_at: float
    used_at: float


class ImageAge(msgspec.Struct, frozen=True, gc=False):
    """An image with how long ago it was pulled and used, in seconds."""

    image: PulledImage
    since_pulled: float
    since_used: float


class ImageLedger:
    """Every image that this agent has pulled."""

    def __init__(
        self,
        stored: Iterable[PulledImage],
        clock: Clock,
        put: Callable[[PulledImage], object],
        forget: Callable[[str], object],
    ) -> None:
        """``put`` writes an image to disk, ``forget`` removes the one of an id from it."""
        self._clock = clock
        self._put = put
        self._forget = forget
        self._images: dict[str, PulledImage] = {}
        self._times: dict[str, tuple[float, float]] = {}
        for image in stored:
            self._images[image.image_id] = image
            self._times[image.image_id] = (self._since(image.pulled_at), self._since(image.used_at))

    def _since(self, epoch: float) -> float:
        return self._clock.monotonic() - max(0.0, self._clock.now() - epoch)

    def has_pulled(self, name: str) -> bool:
        """Whether a pull of that name has ever succeeded here."""
        return any(name in image.names for image in self._images.values())

    def pulled(self, name: str, image_id: str, *, was_there: bool) -> None:
        """A pull has succeeded. ``was_there`` says that the engine had the image already."""
        known = self._images.get(image_id)
        self._lose_name(name, image_id)
        names = () if known is None else known.names
        self._keep(
            PulledImage(
                image_id=image_id,
                names=names if name in names else (*names, name),
                ours=not was_there if known is None else known.ours,
                pulled_at=self._clock.now(),
                used_at=self._clock.now(),
            )
        )
        self._times[image_id] = (self._clock.monotonic(), self._clock.monotonic())

    def _lose_name(self, name: str, image_id: str) -> None:
        """The name means another image from now on. The one that had it stays known, to be removed."""
        for image in tuple(self._images.values()):
            if name in image.names and image.image_id != image_id:
                self._keep(replace(image, names=tuple(each for each in image.names if each != name)))

    def used(self, image_ids: Iterable[str]) -> None:
        """Tasks use these images now."""
        now = self._clock.monotonic()
        for image_id in image_ids:
            image = self._images.get(image_id)
            if image is not None:
                self._times[image_id] = (self._times[image_id][0], now)
                if self._clock.now() - image.used_at >= _WRITTEN_AFTER_S:
                    self._keep(replace(image, used_at=self._clock.now()))

    def ages(self) -> tuple[ImageAge, ...]:
        """The images that this agent brought, with their ages."""
        now = self._clock.monotonic()
        return tuple(
            ImageAge(image, now - self._times[image.image_id][0], now - self._times[image.image_id][1])
            for image in self._images.values()
            if image.ours
        )

    def all(self) -> tuple[PulledImage, ...]:
        """Every image that this agent has pulled, brought by it or not."""
        return tuple(self._images.values())

    def remove(self, image_id: str) -> None:
        """The image is gone, or not ours any more."""
        if self._images.pop(image_id, None) is not None:
            del self._times[image_id]
            self._forget(image_id)

    def _keep(self, image: PulledImage) -> None:
        if self._images.get(image.image_id) != image:
            self._images[image.image_id] = image
            self._put(image)
