"""Service events in ECS's words, and how the history keeps them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

EVENT_KIND = "event"
"""Kind of history entry that holds a service event."""

LISTED_TASKS = 20
"""Tasks that one message names at most; ECS launches at most ten at a time."""

DEADLOCK = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)
STEADY = "has reached a steady state."
START_IMPAIRED = "is unable to consistently start tasks successfully."


class ServiceEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of a service's `events`."""

    id: str
    created_at: float
    message: str


def service_object(service_key: str) -> str:
    """What the history calls a service."""
    return f"service:{service_key}"


def encode_event(event: ServiceEvent) -> str:
    """The body of the history entry."""
    return msgspec.json.encode(event).decode()


def decode_event(body: str) -> ServiceEvent:
    """The event of a history entry's body."""
    return msgspec.json.decode(body, type=ServiceEvent)


def about(service: str, text: str, task_set: str = "") -> str:
    """A message: ECS's prefix, which names the task set that it is about, and what happened."""
    return f"(service {service}, taskSet {task_set}) {text}" if task_set else f"(service {service}) {text}"


def started(task_ids: Sequence[str], unhealthy: int) -> str:
    """Tasks were started; `unhealthy` tells how many of them stand in for unhealthy ones."""
    text = f"has started {_tasks(len(task_ids), '')}: {_listed(task_ids)}."
    if unhealthy:
        text += f" Amazon ECS replaced {_tasks(unhealthy, '')} due to an unhealthy status."
    return text


def stopped(task_ids: Sequence[str]) -> str:
    """Running tasks were stopped."""
    return f"has stopped {_tasks(len(task_ids), 'running ')}: {_listed(task_ids)}."


def failed_health_check(task_id: str) -> str:
    """A task's own health check failed."""
    return f"(task {task_id}) failed container health checks."


def cannot_scale_in(deployment_id: str) -> str:
    """More tasks are protected than are desired."""
    return (
        f"was unable to reach steady state because task set ({deployment_id}) was unable to scale in. "
        "Reason: The number of protected tasks are more than the desired count of tasks."
    )


def deployment_failed(deployment_id: str, detail: str) -> str:
    """A deployment's circuit breaker has ended it; `detail` tells why, in sentences of our own."""
    return f"(deployment {deployment_id}) deployment failed: tasks failed to start. {detail}"


def rolling_back(deployment_id: str) -> str:
    """An earlier deployment is made what the service runs again."""
    return f"rolling back to deployment {deployment_id}."


def deployment_completed(deployment_id: str) -> str:
    """A deployment has made what the service runs."""
    return f"(deployment {deployment_id}) deployment completed."


def _tasks(number: int, kind: str) -> str:
    return f"{number} {kind}tasks"


def _listed(task_ids: Sequence[str]) -> str:
    listed = " ".join(f"(task {task_id})" for task_id in task_ids[:LISTED_TASKS])
    more = len(task_ids) - LISTED_TASKS
    return f"{listed} and {more} more" if more > 0 else listed
