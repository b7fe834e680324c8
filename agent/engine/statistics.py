"""What the containers use, read from the kernel in one pass: cgroup files (v1 and v2) and /proc.

A cgroup is found once per container and remembered. Where its files cannot be found, as with an engine on
another machine, the engine's own figures take their place.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from agent.engine.task_limits import container_places
from agent.protocol import tcs

_NANOSECONDS = 1e9
_MICROSECONDS = 1e6
_MIB = 1024 * 1024
_KEPT_S = 120.0


class Network(msgspec.Struct, frozen=True, gc=False):
    """Counters since the container started, over all its interfaces but the loopback."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What one container had used at one moment (monotonic seconds)."""

    at: float
    cpu_s: float
    """CPU time since it started, over all cores."""
    memory: int
    """Bytes, without the page cache that the kernel can take back."""
    network: Network | None = None


class Running(msgspec.Struct, frozen=True, gc=False):
    """A container to take samples of."""

    docker_id: str
    task_arn: str
    name: str
    own_network: bool
    """It has a network namespace of its own, so that its interfaces' counters are its own too."""


class CgroupReader:
    """Reads the cgroup files of containers below ``root`` (``/sys/fs/cgroup``)."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> None:
        self._root = root
        self._proc = proc
        self._found: dict[str, _Cgroup] = {}

    def read(self, container: Running, at: float) -> Sample | None:
        """A sample of ``container``, or None if its files are not there: it has ended, or they are
        elsewhere.
        """
        cgroup = self._found.get(container.docker_id) or self._find(container)
        if cgroup is None:
            return None
        try:
            network = self._network(cgroup) if container.own_network else None
            return Sample(at, cgroup.cpu_s(), cgroup.memory(), network)
        except (OSError, ValueError, KeyError):
            self._found.pop(container.docker_id, None)
            return None

    def keep_only(self, docker_ids: set[str]) -> None:
        """Forget the places of all other containers."""
        for docker_id in set(self._found) - docker_ids:
            del self._found[docker_id]

    def _find(self, container: Running) -> "_Cgroup | None":
        docker_id = container.docker_id
        for name in container_places(container.task_arn, docker_id):
            if (self._root / "cgroup.controllers").exists() and (self._root / name / "cpu.stat").exists():
                self._found[docker_id] = _CgroupV2(self._root / name)
                return self._found[docker_id]
            cpu, memory = self._root / "cpuacct" / name, self._root / "memory" / name
            if (cpu / "cpuacct.usage").exists():
                self._found[docker_id] = _CgroupV1(cpu, memory)
                return self._found[docker_id]
        return None

    def _network(self, cgroup: "_Cgroup") -> Network | None:
        pid = cgroup.first_pid()
        return None if pid is None else parse_interfaces((self._proc / pid / "net/dev").read_text())


class _Cgroup:
    """The files of one container; ``cpu`` holds its list of processes too."""

    def __init__(self, cpu: Path, memory: Path) -> None:
        self._cpu = cpu
        self._memory = memory

    def first_pid(self) -> str | None:
        pids = (self._cpu / "cgroup.procs").read_text().split(maxsplit=1)
        return pids[0] if pids else None

    def cpu_s(self) -> float:
        raise NotImplementedError

    def memory(self) -> int:
        raise NotImplementedError


class _CgroupV1(_Cgroup):
    def cpu_s(self) -> float:
        return int((self._cpu / "cpuacct.usage").read_text()) / _NANOSECONDS

    def memory(self) -> int:
        used = int((self._memory / "memory.usage_in_bytes").read_text())
        cache = _fields((self._memory / "memory.stat").read_text())["total_cache"]
        return max(0, used - cache)


class _CgroupV2(_Cgroup):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder)

    def cpu_s(self) -> float:
        return _fields((self._cpu / "cpu.stat").read_text())["usage_usec"] / _MICROSECONDS

    def memory(self) -> int:
        used = int((self._memory / "memory.current").read_text())
        cache = _fields((self._memory / "memory.stat").read_text())["inactive_file"]
        return max(0, used - cache)


def _fields(text: str) -> dict[str, int]:
    return {key: int(value) for key, _, value in (line.partition(" ") for line in text.splitlines())}


def parse_interfaces(text: str) -> Network:
    """Add up the interfaces of ``/proc/<pid>/net/dev``."""
    totals = [0] * 8
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            columns = [int(column) for column in counters.split()]
            for position, column in enumerate((*columns[:4], *columns[8:12])):
                totals[position] += column
    return Network(*totals)


def sample_from_engine(body: Mapping[str, Any], at: float) -> Sample:
    """A sample out of the engine's own figures.

    Raises ``KeyError`` for a container that has just ended, whose figures are empty.
    """
    memory = body["memory_stats"]
    stats = memory["stats"]
    cache = stats.get("total_cache", stats.get("inactive_file", 0))
    cpu_s = body["cpu_stats"]["cpu_usage"]["total_usage"] / _NANOSECONDS
    return Sample(at, cpu_s, max(0, memory["usage"] - cache))


class Usage:
    """The samples of the last two minutes."""

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus
        self._samples: dict[str, deque[Sample]] = {}
        self._containers: dict[str, Running] = {}

    def add(self, taken: Iterable[tuple[Running, Sample]]) -> None:
        """Take in one pass over all running containers; those that are not in it are forgotten."""
        passed = {container.docker_id: (container, sample) for container, sample in taken}
        self._containers = {docker_id: container for docker_id, (container, _) in passed.items()}
        self._samples = {docker_id: self._samples.get(docker_id, deque()) for docker_id in passed}
        for docker_id, (_, sample) in passed.items():
            samples = self._samples[docker_id]
            samples.append(sample)
            while samples[0].at < sample.at - _KEPT_S:
                samples.popleft()

    def latest(self) -> tuple[tuple[Running, Sample], ...]:
        """The newest sample of every running container."""
        return tuple((self._containers[key], samples[-1]) for key, samples in self._samples.items())

    def metrics(self, task_arn: str, since: float) -> tuple[tcs.ContainerMetric, ...]:
        """A task's containers in TCS's units, from the samples taken after ``since`` (monotonic seconds).

        A container with fewer than two samples has no CPU figure yet and is left out.
        """
        found = []
        for docker_id, container in self._containers.items():
            samples = tuple(self._samples[docker_id])
            first = next((i for i, s in enumerate(samples) if s.at > since), len(samples))
            window = samples[max(0, first - 1) :]
            if container.task_arn == task_arn and len(window) > 1:
                found.append(self._metric(container, window))
        return tuple(found)

    def _metric(self, container: Running, window: tuple[Sample, ...]) -> tcs.ContainerMetric:
        pairs = tuple(pairwise(window))
        cpu = [100 * (b.cpu_s - a.cpu_s) / (b.at - a.at) / self._cpus for a, b in pairs]
        memory = [sample.memory / _MIB for sample in window[1:]]
        return tcs.ContainerMetric(
            container_name=container.name,
            cpu_stats_set=_condensed(cpu),
            memory_stats_set=_condensed(memory),
            network_stats_set=_network_stats(window),
        )


def _condensed(values: list[float]) -> tcs.CWStatsSet:
    return tcs.CWStatsSet(min=min(values), max=max(values), sample_count=len(values), sum=sum(values))


def _network_stats(window: tuple[Sample, ...]) -> tcs.NetworkStatsSet | None:
    counted = [(sample.at, sample.network) for sample in window if sample.network is not None]
    if len(counted) < 2:
        return None
    last = [network for _, network in counted[1:]]
    return tcs.NetworkStatsSet(
        rx_bytes=_whole([network.rx_bytes for network in last]),
        rx_dropped=_whole([network.rx_dropped for network in last]),
        rx_errors=_whole([network.rx_errors for network in last]),
        rx_packets=_whole([network.rx_packets for network in last]),
        tx_bytes=_whole([network.tx_bytes for network in last]),
        tx_dropped=_whole([network.tx_dropped for network in last]),
        tx_errors=_whole([network.tx_errors for network in last]),
        tx_packets=_whole([network.tx_packets for network in last]),
        rx_bytes_per_second=_rate([(at, network.rx_bytes) for at, network in counted]),
        tx_bytes_per_second=_rate([(at, network.tx_bytes) for at, network in counted]),
    )


def _whole(values: list[int]) -> tcs.ULongStatsSet:
    return tcs.ULongStatsSet(min=min(values), max=max(values), sample_count=len(values), sum=sum(values))


def _rate(points: list[tuple[float, int]]) -> tcs.UDoubleCWStatsSet:
    pairs = pairwise(points)
    rates = [max(0, b - a) / (later - earlier) for (earlier, a), (later, b) in pairs]
    return tcs.UDoubleCWStatsSet(min=min(rates), max=max(rates), sample_count=len(rates), sum=sum(rates))
