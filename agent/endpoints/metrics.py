"""The agent's Prometheus metrics: what is counted as it happens, and what is looked up at every scrape."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from agent.engine.cgroups import Running
from agent.engine.changes import KnownTask
from agent.engine.samples import Sample
from agent.protocol.arn import last_segment

STATUSES = ("PENDING", "RUNNING", "STOPPED")


class EngineFigures(Protocol):
    """Where the figures come from; ``agent.engine.engine.TaskEngine`` is the real one."""

    def known_tasks(self) -> tuple[KnownTask, ...]:
        """Every task that the agent knows."""
        ...

    def container_usage(self) -> tuple[tuple[Running, Sample], ...]:
        """The newest sample of every running container."""
        ...


class AgentCollector(Collector):
    """Looks at the engine and the sessions whenever Prometheus asks."""

    def __init__(
        self, engine: EngineFigures, version: str, sessions: Mapping[str, Callable[[], bool]]
    ) -> None:
        """``sessions`` tells for each session, by its name, whether it is connected."""
        self._engine = engine
        self._version = version
        self._sessions = sessions

    def collect(self) -> Iterable[Metric]:
        """The figures of this moment."""
        build = GaugeMetricFamily("homeport_agent_build_info", "The agent's version.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield self._tasks()
        connected = GaugeMetricFamily(
            "homeport_agent_session_connected",
            "Whether a session with the controller is up.",
            labels=["session"],
        )
        for name, is_connected in self._sessions.items():
            connected.add_metric([name], float(is_connected()))
        yield connected
        yield from self._containers()

    def _tasks(self) -> Metric:
        family = GaugeMetricFamily("homeport_agent_tasks", "Tasks by known status.", labels=["status"])
        tally = Tally(task.known_status for task in self._engine.known_tasks())
        for status in STATUSES:
            family.add_metric([status], tally[status])
        return family

    def _containers(self) -> Iterable[Metric]:
        tasks = {task.task_arn: task for task in self._engine.known_tasks()}
        labels = ["task", "family", "container"]
        cpu = CounterMetricFamily(
            "homeport_agent_container_cpu_seconds", "CPU time of a container, all cores.", labels=labels
        )
        memory = GaugeMetricFamily(
            "homeport_agent_container_memory_bytes",
            "Memory of a container without reclaimable page cache.",
            labels=labels,
        )
        network = {
            f"{direction}_{what}": CounterMetricFamily(
                f"homeport_agent_container_network_{said}_{what}",
                f"Network {what} that a container has {said}, over all its interfaces.",
                labels=labels,
            )
            for direction, said in (("rx", "received"), ("tx", "sent"))
            for what in ("bytes", "packets", "errors", "dropped")
        }
        blocks = {
            name: CounterMetricFamily(
                f"homeport_agent_container_block_{said}_bytes",
                f"Bytes that a container has {said} block devices.",
                labels=labels,
            )
            for name, said in (("read_bytes", "read_from"), ("written_bytes", "written_to"))
        }
        for container, sample in self._engine.container_usage():
            task = tasks.get(container.task_arn)
            values = [last_segment(container.task_arn), task.family if task else "", container.name]
            cpu.add_metric(values, sample.cpu_s)
            memory.add_metric(values, sample.memory)
            if sample.network is not None:
                for name, family in network.items():
                    family.add_metric(values, getattr(sample.network, name))
            for name, family in blocks.items():
                if (count := getattr(sample, name)) is not None:
                    family.add_metric(values, count)
        return cpu, memory, *network.values(), *blocks.values()


def metrics_app(registry: CollectorRegistry) -> web.Application:
    """The application that serves ``/metrics``."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    return application
