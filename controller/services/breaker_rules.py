"""What the deployment circuit breaker of a service is told to do (ecs-semantics 7.7)."""

from __future__ import annotations

from controller.services.revisions import status_of
from controller.state.entities import Deployment, Document, Service

RULE_TAG = "homeport:circuit-breaker"
ECS_RULE = "ecs"
"""A service with this tag has only those failures counted that ECS documents."""

UNPLACED_S = 120.0
"""Seconds without a place after which a task counts as a failure: instances that restart, or that somebody
adds, are there by then."""

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 3, 200
"""Bounds of a threshold of the type BOUNDED_PERCENT."""
DEFAULT_PERCENT = 50


def configuration_of(service: Service) -> Document:
    """A service's `deploymentCircuitBreaker`; empty for none."""
    found: Document = service.options.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
    return found


def is_enabled(service: Service) -> bool:
    """Whether a service's deployments have a circuit breaker."""
    return bool(configuration_of(service).get("enable"))


def follows_ecs(service: Service) -> bool:
    """Whether only what ECS documents counts as a failure."""
    return any(tag.key == RULE_TAG and tag.value == ECS_RULE for tag in service.tags)


def watches(service: Service, primary: Deployment) -> bool:
    """Whether the circuit breaker counts this deployment's failures.

    Going back to an earlier deployment is not watched: there is nothing further to go back to, and what is
    missing is started again and again.
    """
    return service.status == "ACTIVE" and is_enabled(service) and status_of(primary) == "IN_PROGRESS"


def threshold(service: Service) -> int:
    """Failures with which a deployment fails; at least one.

    A percentage is of the present desired count, rounded up; without a `thresholdConfiguration` it is half of
    it, from 3 to 200.
    """
    given = configuration_of(service).get("thresholdConfiguration", {})
    value: int = given.get("value", DEFAULT_PERCENT)
    share = -(-service.desired_count * value // 100)
    match given.get("type", "BOUNDED_PERCENT"):
        case "COUNT":
            return max(1, value)
        case "UNBOUNDED_PERCENT":
            return max(1, share)
    return min(HIGHEST_THRESHOLD, max(LOWEST_THRESHOLD, share))
