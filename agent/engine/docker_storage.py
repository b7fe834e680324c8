"""The Docker engine's calls about what it stores besides containers: images and volumes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from agent.engine.docker_calls import URGENT, Calls
from agent.engine.errors import (
    CannotCreateContainerError,
    CannotCreateVolumeError,
    CannotInspectContainerError,
    CannotInspectVolumeError,
    CannotPullContainerError,
    CannotRemoveImageError,
    CannotRemoveVolumeError,
    NoSuchImageError,
    NoSuchVolumeError,
)
from agent.engine.records import ImageInspection, image_from_engine


class StorageCalls(Calls):
    """Looking at images, removing them, making and removing volumes.

    Pulling is streamed, and so is ``docker.Docker``'s.
    """

    async def inspect_image(self, reference: str) -> ImageInspection:
        """The image in the engine's own store. Raises ``NoSuchImageError``."""
        request = partial(
            self._json,
            "GET",
            f"/images/{reference}/json",
            limit=self._limits.inspect,
            error=CannotPullContainerError,
            errors={404: NoSuchImageError},
        )
        return image_from_engine(await self._call(self._look, "inspect_image", request), reference)

    async def import_image(self, reference: str, archive: bytes, changes: Sequence[str]) -> None:
        """Make an image of a tar archive; ``changes`` are lines of a Dockerfile that configure it."""
        repository, _, tag = reference.rpartition(":")
        request = partial(
            self._request,
            "POST",
            "/images/create",
            params={"fromSrc": "-", "repo": repository, "tag": tag, "changes": list(changes)},
            body=archive,
            limit=self._limits.import_image,
            error=CannotCreateContainerError,
        )
        await self._call(self._work, "import_image", request)

    async def remove_image(self, name: str) -> None:
        """Take a name from an image, and remove the image with its last one. One that is gone is no error.

        Raises ``CannotRemoveImageError``, also for an image that a container uses.
        """
        request = partial(
            self._request,
            "DELETE",
            f"/images/{name}",
            limit=self._limits.remove_image,
            error=CannotRemoveImageError,
            accept=(404,),
        )
        await self._call(self._work, "remove_image", request)

    async def images_of_containers(self) -> frozenset[str]:
        """The ids of the images of all containers, whoever made them and whether or not they run."""
        request = partial(
            self._json,
            "GET",
            "/containers/json",
            params={"all": "1"},
            limit=self._limits.list,
            error=CannotInspectContainerError,
        )
        return frozenset(entry["ImageID"] for entry in await self._call(self._look, "list", request))

    async def disk_usage(self) -> Mapping[str, Any]:
        """The engine's own account of the space that images, containers, volumes and build caches take."""
        request = partial(
            self._json, "GET", "/system/df", limit=self._limits.list, error=CannotInspectContainerError
        )
        return cast("Mapping[str, Any]", await self._call(self._work, "disk_usage", request))

    async def has_volume(self, name: str) -> bool:
        """Whether there is a docker volume of that name."""
        request = partial(
            self._request,
            "GET",
            f"/volumes/{name}",
            limit=self._limits.inspect,
            error=CannotCreateVolumeError,
            errors={404: NoSuchVolumeError},
        )
        try:
            await self._call(self._look, "inspect_volume", request, priority=URGENT)
        except NoSuchVolumeError:
            return False
        return True

    async def create_volume(self, body: Mapping[str, Any]) -> None:
        """Create a docker volume from a raw body; one of the same name and driver is left as it is."""
        request = partial(
            self._request,
            "POST",
            "/volumes/create",
            body=body,
            limit=self._limits.volume,
            error=CannotCreateVolumeError,
        )
        await self._call(self._work, "create_volume", request, priority=URGENT)

    async def list_volumes(self, label: str) -> dict[str, Mapping[str, str]]:
        """The docker volumes that carry ``label`` (``key=value``): names to all of their labels."""
        request = partial(
            self._json,
            "GET",
            "/volumes",
            params={"filters": msgspec.json.encode({"label": [label]}).decode()},
            limit=self._limits.volume,
            error=CannotInspectVolumeError,
        )
        answer = await self._call(self._look, "list_volumes", request)
        return {each["Name"]: each.get("Labels") or {} for each in answer.get("Volumes") or ()}

    async def remove_volume(self, name: str) -> None:
        """Remove a docker volume that nobody uses; one that is gone is no error."""
        request = partial(
            self._request,
            "DELETE",
            f"/volumes/{name}",
            limit=self._limits.volume,
            error=CannotRemoveVolumeError,
            accept=(404,),
        )
        await self._call(self._work, "remove_volume", request)
