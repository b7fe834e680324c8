"""The deployment circuit breaker: when a rolling deployment has failed, and what becomes of it then.

It watches a deployment that is IN_PROGRESS and counts its failures. As on ECS, one is a task that ended
before it ran or was stopped for its failed health check. Beyond what ECS documents, one is also a task that
ended by itself after it ran, so that a crash loop ends a deployment, and each task that has found no place
for `UNPLACED_S`, and again after as long. The tag `homeport:circuit-breaker` with the value `ecs` on a
service leaves both out.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from controller.services import events
from controller.services.balance import Balance
from controller.services.breaker_rules import UNPLACED_S, configuration_of, follows_ecs, threshold
from controller.services.revisions import abort, roll_back, settings_of, with_settings
from controller.services.view import REPLACED_UNHEALTHY, ServiceView
from controller.state.entities import CircuitBreakerCount, Deployment, Service

FAILED = "ECS deployment circuit breaker: tasks failed to start"
ROLLED_BACK = "ECS deployment circuit breaker"


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment that has failed comes to."""

    deployments: tuple[Deployment, ...]
    """The failed one, and the one that is the PRIMARY one again if there is any to go back to."""
    service: Service
    """The service, with the settings of what it goes back to."""
    texts: tuple[str, ...]
    """Service events."""


def with_new_failures(view: ServiceView, primary: Deployment) -> Deployment:
    """A watched deployment after what its tasks did since the last step.

    A task that became healthy sets the count to 0 first, unless `resetOnHealthyTask` is false.
    """
    before = primary.breaker
    resets = configuration_of(view.service).get("resetOnHealthyTask", True) and newly_healthy(view, primary)
    reasons = [failure.reason for failure in view.failures if failure.deployment == primary.id]
    return _counted(primary, replace(before, failures=0) if resets else before, reasons, view.now)


def newly_healthy(view: ServiceView, primary: Deployment) -> tuple[str, ...]:
    """Ids of tasks of a deployment that have become healthy since the last step."""
    return tuple(
        task.id
        for task in view.tasks
        if task.deployment == primary.id and task.healthy and not task.was_healthy
    )


def with_results(view: ServiceView, primary: Deployment, result: Balance) -> Deployment:
    """A watched deployment after what the step does: tasks that it stops as unhealthy, and tasks for which
    it finds no place, count."""
    reasons = [
        REPLACED_UNHEALTHY for task in result.stops if task.unhealthy and task.deployment == primary.id
    ]
    present = primary.breaker
    if result.shortage is None or result.stops or follows_ecs(view.service):
        present = replace(present, unplaced_since=None)
    elif present.unplaced_since is None:
        present = replace(present, unplaced_since=view.now)
    elif not view.unplaced_left_s:
        present = replace(present, unplaced_since=view.now)
        reasons += [result.shortage.sentence] * (result.wanted - len(result.starts))
    return _counted(primary, present, reasons, view.now)


def looks_again_after(view: ServiceView, primary: Deployment) -> float | None:
    """Seconds until tasks without a place count as failures; None while all have one."""
    since = primary.breaker.unplaced_since
    if since is None:
        return None
    assert view.primary is not None
    is_older = view.primary.breaker.unplaced_since == since
    return view.unplaced_left_s if is_older else UNPLACED_S


def trip(view: ServiceView, primary: Deployment) -> Trip | None:
    """What becomes of a watched deployment whose failures have reached the threshold; None for no other.

    With `rollback` the last completed deployment is the PRIMARY one again. Without, or if none has completed,
    nothing new is started, and what runs stays.
    """
    service, most = view.service, threshold(view.service)
    if primary.breaker.failures < most:
        return None
    wants_rollback = configuration_of(service).get("rollback", False)
    target = next((item for item in view.older if item.id == primary.rolls_back_to), None)
    detail = _detail(primary, most)
    failed = replace(primary, breaker=replace(primary.breaker, tripped=True))
    if wants_rollback and target is not None:
        rolled_back, again = roll_back(failed, target, ROLLED_BACK, view.now)
        return Trip(
            deployments=(replace(rolled_back, outcome_reason=f"{FAILED}. {detail}"), again),
            service=with_settings(service, settings_of(target, service)),
            texts=(events.deployment_failed(primary.id, detail), events.rolling_back(target.id)),
        )
    if wants_rollback:
        detail += " There is no completed deployment to roll back to."
    stopped = replace(abort(failed, FAILED, view.now), outcome_reason=f"{FAILED}. {detail}")
    return Trip(
        deployments=(stopped,), service=service, texts=(events.deployment_failed(primary.id, detail),)
    )


def _counted(
    primary: Deployment, count: CircuitBreakerCount, reasons: Iterable[str], now: float
) -> Deployment:
    for reason in reasons:
        count = replace(count, failures=count.failures + 1, last_failure=reason)
    return primary if count == primary.breaker else replace(primary, breaker=count, updated_at=now)


def _detail(primary: Deployment, most: int) -> str:
    count = primary.breaker
    return f"Failures: {count.failures} of {most}, the last one: {_sentence(count)}"


def _sentence(count: CircuitBreakerCount) -> str:
    return count.last_failure if count.last_failure.endswith(".") else f"{count.last_failure}."
