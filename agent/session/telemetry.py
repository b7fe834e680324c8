"""Telemetry in the form of the TCS messages: pure functions over plain data."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from agent.protocol import tcs

TASKS_PER_MESSAGE = 10
T = TypeVar("T")


class Window(msgspec.Struct, frozen=True, gc=False):
    """The use of resources by every task over one publishing interval."""

    ended_at: float
    """Epoch seconds."""
    tasks: tuple[tcs.TaskMetric, ...]


def metrics_messages(
    window: Window, cluster: str, container_instance: str, new_id: Callable[[], str]
) -> list[tcs.PublishMetricsRequest]:
    """Ten tasks a message, the last marked ``fin``. An instance without tasks says once that it is idle."""
    return [
        tcs.PublishMetricsRequest(
            metadata=tcs.MetricsMetadata(
                cluster=cluster,
                container_instance=container_instance,
                message_id=new_id(),
                idle=not window.tasks,
                fin=last,
            ),
            task_metrics=batch,
            timestamp=round(window.ended_at, 3),
        )
        for batch, last in _batches(window.tasks)
    ]


def health_messages(
    tasks: Sequence[tcs.TaskHealth],
    now: float,
    cluster: str,
    container_instance: str,
    new_id: Callable[[], str],
) -> list[tcs.PublishHealthRequest]:
    """Ten tasks a message, the last marked ``fin``. Nothing is said if no container has a health check."""
    if not tasks:
        return []
    return [
        tcs.PublishHealthRequest(
            metadata=tcs.HealthMetadata(
                cluster=cluster, container_instance=container_instance, message_id=new_id(), fin=last
            ),
            tasks=batch,
            timestamp=round(now, 3),
        )
        for batch, last in _batches(tuple(tasks))
    ]


def status_message(
    status: tcs.InstanceStatus, now: float, cluster: str, container_instance: str, new_id: Callable[[], str]
) -> tcs.PublishInstanceStatusRequest:
    """The state of the container engine."""
    return tcs.PublishInstanceStatusRequest(
        metadata=tcs.InstanceStatusMetadata(
            cluster=cluster, container_instance=container_instance, request_id=new_id()
        ),
        statuses=(status,),
        timestamp=round(now, 3),
    )


def _batches(items: tuple[T, ...]) -> Iterator[tuple[tuple[T, ...], bool]]:
    """Batches of ten, each with whether it is the last one; one empty batch if there is nothing."""
    for start in range(0, max(1, len(items)), TASKS_PER_MESSAGE):
        yield items[start : start + TASKS_PER_MESSAGE], start + TASKS_PER_MESSAGE >= len(items)
