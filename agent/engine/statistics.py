"""The samples of the last minute, condensed into TCS's figures."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

from agent.engine.cgroups import Running
from agent.engine.samples import Sample
from agent.protocol import tcs

_MIB = 1024 * 1024
_KEPT_S = 60.0


class Usage:
    """The samples of the last minute."""

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

    def of(self, docker_id: str) -> tuple[Running, tuple[Sample, ...]] | None:
        """A running container with its samples, oldest first; None if it is not known to run."""
        container = self._containers.get(docker_id)
        return None if container is None else (container, tuple(self._samples[docker_id]))

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
        cpu = [100 * _gained(a.cpu_s, b.cpu_s) / (b.at - a.at) / self._cpus for a, b in pairs]
        memory = [sample.memory / _MIB for sample in window[1:]]
        return tcs.ContainerMetric(
            container_name=container.name,
            cpu_stats_set=_condensed(cpu),
            memory_stats_set=_condensed(memory),
            network_stats_set=_network_stats(window),
            storage_stats_set=_storage_stats(window),
            restart_stats_set=_restart_stats(window),
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


def _storage_stats(window: tuple[Sample, ...]) -> tcs.StorageStatsSet | None:
    read = [sample.read_bytes for sample in window[1:] if sample.read_bytes is not None]
    written = [sample.written_bytes for sample in window[1:] if sample.written_bytes is not None]
    if not read or not written:
        return None
    return tcs.StorageStatsSet(read_size_bytes=_whole(read), write_size_bytes=_whole(written))


def _restart_stats(window: tuple[Sample, ...]) -> tcs.RestartStatsSet | None:
    """How often the container was started again within the window."""
    counts = [sample.restarts for sample in window if sample.restarts is not None]
    return tcs.RestartStatsSet(restart_count=max(0, counts[-1] - counts[0])) if counts else None


def _whole(values: list[int]) -> tcs.ULongStatsSet:
    return tcs.ULongStatsSet(min=min(values), max=max(values), sample_count=len(values), sum=sum(values))


def _rate(points: list[tuple[float, int]]) -> tcs.UDoubleCWStatsSet:
    pairs = pairwise(points)
    rates = [_gained(a, b) / (later - earlier) for (earlier, a), (later, b) in pairs]
    return tcs.UDoubleCWStatsSet(min=min(rates), max=max(rates), sample_count=len(rates), sum=sum(rates))


def _gained(earlier: float, later: float) -> float:
    """How far a counter went on. A container that was started again counts from nothing."""
    return later - earlier if later >= earlier else later
