"""Takes samples of what the running containers use, all of them in one pass."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import structlog

from agent.engine.cgroups import Places, Running
from agent.engine.docker import Docker
from agent.engine.docker_stats import Moment, docker_stats, with_rates
from agent.engine.errors import EngineError
from agent.engine.samples import Sample, machine_cpu_s, sample_from_engine, take_sample
from agent.engine.statistics import Usage
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_AT_ONE_GO = 25
"""Containers that are read before others get their turn on the event loop."""


class Sampler:
    """Fills a ``Usage`` at a steady pace. Where the kernel's files cannot be found, as with an engine on
    another machine, the engine's own figures take their place.
    """

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
        self._places = Places(cgroup_root)
        self._machine_memory = psutil.virtual_memory().total

    async def run(self) -> None:
        """Take samples for ever."""
        try:
            while True:
                await self.take()
                await asyncio.sleep(self._interval_s)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what was opened to read by."""
        self._places.keep_only(set())

    async def take(self) -> None:
        """One pass over all containers."""
        running = self._running()
        machine_s = machine_cpu_s(self._places.proc)
        taken = []
        for number, container in enumerate(running, start=1):
            sample = self._read(container, machine_s) or await self._asked(container)
            if sample is not None:
                taken.append((container, sample))
            if number % _AT_ONE_GO == 0:
                await asyncio.sleep(0)
        self._usage.add(taken)
        self._places.keep_only({each.docker_id for each in running})

    async def stats(self, docker_id: str, docker_name: str) -> Mapping[str, Any] | None:
        """A container's statistics in the shape of the engine's API; None if it does not run."""
        known = self._usage.of(docker_id)
        found = known or next(((each, ()) for each in self._running() if each.docker_id == docker_id), None)
        if found is None:
            return None
        container, samples = found
        place = self._places.of(container)
        try:
            if place is None:
                return {**await self._docker.stats(docker_id), **with_rates(samples)}
            moment = Moment(
                now=self._clock.now(),
                monotonic=self._clock.monotonic(),
                machine_s=machine_cpu_s(self._places.proc),
                machine_memory=self._machine_memory,
            )
            return docker_stats(place, container, docker_name, moment, samples)
        except (EngineError, OSError, ValueError, KeyError) as error:
            self._places.forget(docker_id)
            log.debug("no_statistics", container=container.name, task=container.task_arn, reason=str(error))
            return None

    def _read(self, container: Running, machine_s: float) -> Sample | None:
        place = self._places.of(container)
        if place is None:
            return None
        try:
            return take_sample(place, container, self._clock.monotonic(), machine_s)
        except (OSError, ValueError, KeyError):
            self._places.forget(container.docker_id)
            return None

    async def _asked(self, container: Running) -> Sample | None:
        try:
            figures = await self._docker.stats(container.docker_id)
            return sample_from_engine(figures, container, self._clock.monotonic())
        except (EngineError, KeyError) as error:
            log.debug("no_statistics", container=container.name, task=container.task_arn, reason=str(error))
            return None
