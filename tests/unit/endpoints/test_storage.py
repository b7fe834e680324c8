"""What the agent tells of disks and images on the machine."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from agent.endpoints.introspection import introspection_app
from agent.endpoints.storage import StorageCollector, storage_routes
from agent.engine.book import TaskRecord
from agent.engine.disk_usage import DiskUsage, DiskUse
from agent.engine.errors import EngineUnavailableError
from agent.engine.image_ledger import PulledImage
from agent.engine.pull_progress import PullProgress
from agent.protocol.extensions import DiskFill, InstanceDiskMessage

USAGE = DiskUsage(
    status="OK",
    reason="",
    disks=(DiskUse(path="/data", percent=50, total=100, available=50),),
    images=(),
    layers=0,
    containers=(),
    volumes=(),
    build_cache=0,
)


class Figures:
    """An engine with one disk, one pull and one image."""

    def __init__(self) -> None:
        self.answers = True

    async def disk_usage(self) -> DiskUsage:
        if not self.answers:
            raise EngineUnavailableError("no such socket")
        return USAGE

    def disks(self) -> InstanceDiskMessage:
        fill = DiskFill(path="/data", percent=50, total=100, available=50)
        return InstanceDiskMessage(status="OK", disks=(fill,))

    def pulls(self) -> tuple[PullProgress, ...]:
        return (PullProgress(image="web", state="PULLING", started_at=1.0, attempt=2, bytes_loaded=7),)

    def pulled_images(self) -> tuple[PulledImage, ...]:
        return (PulledImage(image_id="sha256:1", names=("app",), ours=True, pulled_at=1.0, used_at=2.0),)

    def records(self) -> tuple[TaskRecord, ...]:
        return ()

    def account(self) -> Any:
        raise AssertionError("nobody asks for it here")


async def ask(figures: Figures, path: str) -> tuple[int, Any]:
    app = introspection_app(
        figures,
        version="1",
        cluster="default",
        container_instance=lambda: None,
        more=storage_routes(figures),
    )
    async with TestClient(TestServer(app)) as client, client.get(path) as answer:
        return answer.status, await answer.json()


async def test_who_holds_what_is_told_in_the_names_of_the_introspection_api() -> None:
    status, body = await ask(Figures(), "/v1/disk")
    assert status == 200
    assert body["Disks"] == [{"Path": "/data", "Percent": 50, "Total": 100, "Available": 50}]
    assert body["BuildCache"] == 0


async def test_an_engine_that_does_not_answer_is_told_of() -> None:
    figures = Figures()
    figures.answers = False
    assert await ask(figures, "/v1/disk") == (503, {"Error": EngineUnavailableError("no such socket").reason})


async def test_pulls_and_images_are_told() -> None:
    status, body = await ask(Figures(), "/v1/images")
    assert status == 200
    assert body["Pulls"][0]["Image"] == "web"
    assert body["Pulls"][0]["BytesLoaded"] == 7
    assert body["Images"][0]["Names"] == ["app"]


async def test_both_are_among_the_commands() -> None:
    _, body = await ask(Figures(), "/")
    assert {"/v1/disk", "/v1/images"} <= set(body["AvailableCommands"])


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("homeport_agent_disk_used_ratio", {"path": "/data"}, 0.5),
        ("homeport_agent_disk_available_bytes", {"path": "/data"}, 50),
        ("homeport_agent_image_pulls", {"state": "PULLING"}, 1),
        ("homeport_agent_image_pulls", {"state": "WAITING"}, 0),
        ("homeport_agent_image_pull_loaded_bytes", {"image": "web"}, 7),
    ],
)
def test_prometheus_gets_disks_and_pulls(name: str, labels: dict[str, str], value: float) -> None:
    registry = CollectorRegistry()
    registry.register(StorageCollector(Figures()))
    assert registry.get_sample_value(name, labels) == value
