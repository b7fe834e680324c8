"""Takes samples of what the running containers use, all of them in one pass."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agent.engine.docker import Docker
from agent.engine.errors import EngineError
from agent.engine.statistics import CgroupReader, Running, Sample, Usage, sample_from_engine
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)


class Sampler:
    """Fills a ``Usage`` at a steady pace."""

    def __init__(
        self,
        docker: Docker,
        clock: Clock,
        usage: Usage,
        running: Callable[[], Sequence[Running]],
        interval_s: float,
        cgroup_root: Path,
    ) -> None:
        """``running`` tells which containers there are at the moment."""
        self._docker = docker
        self._clock = clock
        self._usage = usage
        self._running = running
        self._interval_s = interval_s
        self._cgroups = CgroupReader(cgroup_root)

    async def run(self) -> None:
        """Take samples for ever."""
        while True:
            running = self._running()
            taken = [(each, await self._sample(each)) for each in running]
            self._usage.add((each, sample) for each, sample in taken if sample is not None)
            self._cgroups.keep_only({each.docker_id for each in running})
            await asyncio.sleep(self._interval_s)

    async def _sample(self, container: Running) -> Sample | None:
        sample = self._cgroups.read(container, self._clock.monotonic())
        if sample is not None:
            return sample
        try:
            figures = await self._docker.stats(container.docker_id)
            return sample_from_engine(figures, self._clock.monotonic())
        except (EngineError, KeyError) as error:
            log.debug("no_statistics", container=container.name, task=container.task_arn, reason=str(error))
            return None
