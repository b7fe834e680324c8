"""What the controller tells Prometheus.

Counts of tasks and instances follow the change feed, so that they show durable facts and a scrape costs
nothing per task.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller import __version__
from controller.state.changes import Change
from controller.state.entities import ContainerInstance, Entity, InstanceConnection, Task
from controller.state.kernel import State
from controller.state.lifecycle import last_status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_RECORD_BUCKETS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)


class ApiMetrics:
    """API calls by operation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "homeport_api_requests",
            "API calls by operation and outcome (OK, or the code of the error).",
            ["operation", "code"],
            registry=registry,
        )
        self._durations = Histogram(
            "homeport_api_request_duration_seconds",
            "Seconds from the arrival of an API call to its durable answer.",
            ["operation"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )

    def note(self, operation: str, code: str, duration_s: float) -> None:
        """Count one call."""
        self._requests.labels(operation, code).inc()
        self._durations.labels(operation).observe(duration_s)


class FlushMetrics:
    """Flushes of the store."""

    def __init__(self, registry: CollectorRegistry, state: State) -> None:
        self._durations = Histogram(
            "homeport_flush_duration_seconds",
            "Seconds that a group flush took, its retries included.",
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._records = Histogram(
            "homeport_flush_records",
            "Records and history lines of a group flush.",
            buckets=_RECORD_BUCKETS,
            registry=registry,
        )
        failing = Gauge(
            "homeport_store_failing_seconds",
            "Seconds since the store began to refuse writes; 0 while it takes them.",
            registry=registry,
        )
        failing.set_function(lambda: state.flusher.failing_for_s)
        state.flusher.observe(self._note)

    def _note(self, duration_s: float, records: int) -> None:
        self._durations.observe(duration_s)
        self._records.observe(records)


class StateCounts(Collector):
    """Tasks and container instances by cluster and status."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tasks: Tally[tuple[str, str]] = Tally()
        self._instances: dict[str, tuple[str, str]] = {}
        read = state.read()
        for task in read.all(Task).values():
            self._count_task(task, 1)
        for key, instance in read.all(ContainerInstance).items():
            self._note_instance(key, instance)
        state.subscribe(self._follow)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The counts of this moment."""
        tasks = GaugeMetricFamily(
            "homeport_tasks", "Tasks by cluster and lastStatus.", labels=["cluster", "status"]
        )
        for labels, count in sorted(self._tasks.items()):
            tasks.add_metric(labels, count)
        yield tasks
        instances = GaugeMetricFamily(
            "homeport_container_instances",
            "Container instances by cluster, status and whether their agent is connected.",
            labels=["cluster", "status", "connected"],
        )
        for instance_labels, count in sorted(self._count_instances().items()):
            instances.add_metric(instance_labels, count)
        yield instances

    def _count_instances(self) -> Tally[tuple[str, str, str]]:
        read = self._state.read()
        counts: Tally[tuple[str, str, str]] = Tally()
        for key, (cluster, status) in self._instances.items():
            connection = read.get(InstanceConnection, key)
            connected = connection is not None and connection.connected
            counts[cluster, status, "true" if connected else "false"] += 1
        return counts

    def _follow(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind is Task:
                self._count_task(change.old, -1)
                self._count_task(change.new, 1)
            elif change.kind is ContainerInstance:
                self._note_instance(change.key, change.new)

    def _note_instance(self, key: str, instance: Entity | None) -> None:
        if isinstance(instance, ContainerInstance):
            self._instances[key] = (instance.cluster, instance.status)
        else:
            self._instances.pop(key, None)

    def _count_task(self, task: Entity | None, sign: int) -> None:
        if isinstance(task, Task):
            # Statuses that have had tasks stay at 0, as Prometheus wants it.
            self._tasks[task.cluster, last_status(task)] += sign


class ControllerMetrics:
    """All metrics of a controller, in a registry of their own."""

    def __init__(self, state: State) -> None:
        self._registry = CollectorRegistry()
        build = Gauge(
            "homeport_build_info", "Always 1; labels tell the version.", ["version"], registry=self._registry
        )
        build.labels(__version__).set(1)
        self.api = ApiMetrics(self._registry)
        FlushMetrics(self._registry, state)
        self.agent_sessions = Gauge(
            "homeport_agent_sessions",
            "Open websockets of agents by channel (acs, tcs).",
            ["channel"],
            registry=self._registry,
        )
        self._registry.register(StateCounts(state))
        ProcessCollector(registry=self._registry)

    def register(self, collector: Collector) -> None:
        """Have another part's figures among the metrics."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self._registry)
