"""Beyond ECS's introspection: who holds what of the disks, and which images are on their way."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
from aiohttp import web

from agent.engine.disk_usage import DiskUsage
from agent.engine.errors import EngineError
from agent.engine.image_ledger import PulledImage
from agent.engine.pull_progress import PullProgress

Handler = Callable[[web.Request], Awaitable[web.Response]]


class StorageFigures(Protocol):
    """Where the figures come from; ``agent.engine.engine.TaskEngine`` is the real one."""

    async def disk_usage(self) -> DiskUsage:
        """Who holds what. Raises ``EngineError``."""
        ...

    def pulls(self) -> tuple[PullProgress, ...]:
        """Every pull under way."""
        ...

    def pulled_images(self) -> tuple[PulledImage, ...]:
        """Every image that this agent has pulled."""
        ...


def storage_routes(figures: StorageFigures) -> Mapping[str, Handler]:
    """Handlers by path."""

    async def disk(_: web.Request) -> web.Response:
        try:
            return _json(await figures.disk_usage())
        except EngineError as error:
            return _json({"Error": error.reason}, status=503)

    async def images(_: web.Request) -> web.Response:
        return _json(
            {
                "Pulls": [_pascal(pull) for pull in figures.pulls()],
                "Images": [_pascal(image) for image in figures.pulled_images()],
            }
        )

    return {"/v1/disk": disk, "/v1/images": images}


def _pascal(struct: msgspec.Struct) -> dict[str, object]:
    """A record with its members named as the introspection endpoint names them."""
    return {
        "".join(word.capitalize() for word in name.split("_")): value
        for name, value in msgspec.structs.asdict(struct).items()
    }


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
