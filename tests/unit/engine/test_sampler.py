"""The sampler: one pass over all containers, and the engine's own figures where the kernel's are not here."""

from pathlib import Path
from typing import Any

import pytest

from agent.engine.cgroups import Running
from agent.engine.errors import NoSuchContainerError
from agent.engine.sampler import Sampler
from agent.engine.statistics import Usage
from tests.support.clock import FakeClock

WEB = Running(docker_id="web-id", task_arn="task/1", name="web", own_network=False)
FIGURES: dict[str, Any] = {
    "cpu_stats": {"cpu_usage": {"total_usage": 3_000_000_000}},
    "memory_stats": {"usage": 4096, "stats": {}},
}


class Engine:
    """A Docker engine on another machine."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, Any]] = {}

    async def stats(self, name: str) -> dict[str, Any]:
        if name not in self.figures:
            raise NoSuchContainerError(name)
        return self.figures[name]


class Sampling:
    """A sampler without any cgroup in sight."""

    def __init__(self, root: Path) -> None:
        self.engine, self.usage = Engine(), Usage(cpus=1)
        self.running: list[Running] = []
        self.sampler = Sampler(
            self.engine,  # type: ignore[arg-type]
            FakeClock(),
            self.usage,
            lambda: tuple(self.running),
            5.0,
            root,
        )


@pytest.fixture
def sampling(tmp_path: Path) -> Sampling:
    return Sampling(tmp_path)


async def test_the_engine_is_asked_where_the_kernels_files_are_not(sampling: Sampling) -> None:
    sampling.running, sampling.engine.figures = [WEB], {"web-id": FIGURES}
    await sampling.sampler.take()

    ((container, sample),) = sampling.usage.latest()
    assert (container, sample.cpu_s, sample.memory) == (WEB, 3.0, 4096)
    assert await sampling.sampler.stats("web-id", "ecs-web") == FIGURES


async def test_a_container_that_nobody_knows_figures_of_spoils_no_pass(sampling: Sampling) -> None:
    gone = Running(docker_id="gone-id", task_arn="task/2", name="gone", own_network=True)
    empty = Running(docker_id="empty-id", task_arn="task/3", name="empty", own_network=True)
    sampling.running = [gone, empty, WEB]
    sampling.engine.figures = {"web-id": FIGURES, "empty-id": {"cpu_stats": {}, "memory_stats": {}}}
    await sampling.sampler.take()

    assert [container.name for container, _ in sampling.usage.latest()] == ["web"]


async def test_a_container_that_does_not_run_has_no_statistics(sampling: Sampling) -> None:
    assert await sampling.sampler.stats("web-id", "ecs-web") is None


async def test_one_that_has_just_been_started_has_them_before_the_first_pass(sampling: Sampling) -> None:
    sampling.running, sampling.engine.figures = [WEB], {"web-id": FIGURES}
    assert await sampling.sampler.stats("web-id", "ecs-web") == FIGURES
