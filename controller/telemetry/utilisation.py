"""What tasks use, as agents tell over TCS: the newest sample of every running task, in memory only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agent.protocol import tcs
from controller.state.changes import Change
from controller.state.entities import ContainerInstance, Task, instance_key
from controller.state.kernel import State
from controller.state.lifecycle import is_ended

PERCENT = 100


class ContainerSample(msgspec.Struct, frozen=True, gc=False):
    """Use of one container over the agent's last window."""

    name: str
    cpu_percent: float
    """Average use of CPU in percent of the whole machine."""
    memory_mib: float
    """Average use of memory in MiB, without the page cache."""
    received_bytes_per_s: float = 0.0
    sent_bytes_per_s: float = 0.0
    restarts: int = 0


class TaskSample(msgspec.Struct, frozen=True, gc=False):
    """The newest sample of a task."""

    at: float
    """Wall time of its arrival, epoch seconds."""
    containers: tuple[ContainerSample, ...]

    @property
    def cpu_percent(self) -> float:
        """Use of CPU in percent of the whole machine, over all containers."""
        return sum(container.cpu_percent for container in self.containers)

    @property
    def memory_mib(self) -> float:
        """Use of memory in MiB, over all containers."""
        return sum(container.memory_mib for container in self.containers)


class Utilisation:
    """Newest samples by task key. As many as there are running tasks: a sample goes when its task ends."""

    def __init__(self, state: State) -> None:
        self._samples: dict[str, TaskSample] = {}
        state.subscribe(self._forget_ended)

    def __len__(self) -> int:
        return len(self._samples)

    def note(self, task: Task, metric: tcs.TaskMetric, now: float) -> None:
        """Keep an agent's sample of a task that has not ended."""
        if is_ended(task):
            return
        known = {container.name for container in task.containers}
        containers = tuple(_sample(each) for each in metric.container_metrics if each.container_name in known)
        if containers:
            self._samples[task.key] = TaskSample(now, containers)

    def of(self, key: str) -> TaskSample | None:
        """The newest sample of a task, by its key."""
        return self._samples.get(key)

    def items(self) -> Iterable[tuple[str, TaskSample]]:
        """Every task key with its newest sample."""
        return self._samples.items()

    def _forget_ended(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind is Task and (not isinstance(change.new, Task) or is_ended(change.new)):
                self._samples.pop(change.key, None)


class ServiceUtilisation(Collector):
    """What the tasks of each service use together, for Prometheus. Single tasks would be too many series."""

    def __init__(self, state: State, utilisation: Utilisation) -> None:
        self._state = state
        self._utilisation = utilisation

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The sums of this moment, by cluster and service (empty for standalone tasks)."""
        cpu = GaugeMetricFamily(
            "homeport_service_cpu_units_used",
            "CPU units that a service's tasks use, by their newest samples (1,024 are one core).",
            labels=["cluster", "service"],
        )
        memory = GaugeMetricFamily(
            "homeport_service_memory_used_bytes",
            "Memory that a service's tasks use without page cache, by their newest samples.",
            labels=["cluster", "service"],
        )
        for labels, (units, mib) in sorted(self._sums().items()):
            cpu.add_metric(labels, units)
            memory.add_metric(labels, mib * 1024 * 1024)
        yield cpu
        yield memory

    def _sums(self) -> dict[tuple[str, str], tuple[float, float]]:
        read = self._state.read()
        sums: dict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        for key, sample in self._utilisation.items():
            task = read.get(Task, key)
            if task is None or task.instance is None:
                continue
            instance = read.get(ContainerInstance, instance_key(task.cluster, task.instance))
            units = sample.cpu_percent / PERCENT * instance.cpu if instance is not None else 0.0
            labels = task.cluster, task.service or ""
            before = sums[labels]
            sums[labels] = before[0] + units, before[1] + sample.memory_mib
        return dict(sums)


def _sample(metric: tcs.ContainerMetric) -> ContainerSample:
    network = metric.network_stats_set or tcs.NetworkStatsSet()
    restarts = metric.restart_stats_set.restart_count if metric.restart_stats_set is not None else None
    return ContainerSample(
        name=metric.container_name or "",
        cpu_percent=_average(metric.cpu_stats_set),
        memory_mib=_average(metric.memory_stats_set),
        received_bytes_per_s=_average(network.rx_bytes_per_second),
        sent_bytes_per_s=_average(network.tx_bytes_per_second),
        restarts=restarts or 0,
    )


def _average(stats: tcs.CWStatsSet | tcs.UDoubleCWStatsSet | None) -> float:
    return stats.sum / stats.sample_count if stats is not None and stats.sample_count else 0.0
