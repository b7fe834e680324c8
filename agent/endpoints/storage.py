"""Beyond ECS's introspection: who holds what of the disks, and which images are on their way."""

from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import msgspec
from aiohttp import web
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.engine.disk_usage import DiskUsage
from agent.engine.errors import EngineError
from agent.engine.image_ledger import PulledImage
from agent.engine.pull_progress import PULL_STATES, PullProgress
from agent.protocol.extensions import InstanceDiskMessage

Handler = Callable[[web.Request], Awaitable[web.Response]]


class StorageFigures(Protocol):
    """Where the figures come from; ``agent.engine.engine.TaskEngine`` is the real one."""

    async def disk_usage(self) -> DiskUsage:
        """Who holds what. Raises ``EngineError``."""
        ...

    def disks(self) -> InstanceDiskMessage:
        """Whether the disks that tasks fill have room."""
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


class StorageCollector(Collector):
    """Looks at disks and pulls whenever Prometheus asks."""

    def __init__(self, figures: StorageFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """The figures of this moment."""
        disks = self._figures.disks().disks
        used = _gauge("homeport_agent_disk_used_ratio", "How full a disk that tasks fill is.", "path")
        free = _gauge(
            "homeport_agent_disk_available_bytes", "What is free of a disk that tasks fill.", "path"
        )
        for disk in disks:
            used.add_metric([disk.path], disk.percent / 100)
            free.add_metric([disk.path], disk.available)
        pulls = self._figures.pulls()
        states = Tally(pull.state for pull in pulls)
        under_way = _gauge("homeport_agent_image_pulls", "Pulls of images under way.", "state")
        for state in PULL_STATES:
            under_way.add_metric([state], states[state])
        loaded = _gauge(
            "homeport_agent_image_pull_loaded_bytes", "What has come of an image so far.", "image"
        )
        total = _gauge("homeport_agent_image_pull_size_bytes", "What is known of its size.", "image")
        for pull in pulls:
            loaded.add_metric([pull.image], pull.bytes_loaded)
            total.add_metric([pull.image], pull.bytes_total)
        return used, free, under_way, loaded, total


def _gauge(name: str, meaning: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=[label])


def _pascal(struct: msgspec.Struct) -> dict[str, object]:
    """A record with its members named as the introspection endpoint names them."""
    return {
        "".join(word.capitalize() for word in name.split("_")): value
        for name, value in msgspec.structs.asdict(struct).items()
    }


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
