"""What becomes of a service's deployments: counting failed and good starts, completing, going away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from controller.services.breaker import with_new_failures
from controller.services.breaker_rules import watches
from controller.services.revisions import ended
from controller.services.view import FailedStart, ServiceView, TaskView
from controller.state.entities import Deployment, TaskOwner, TaskSet

Owner = TypeVar("Owner", Deployment, TaskSet)


class Outcomes(msgspec.Struct, frozen=True):
    """The deployments after what their tasks did since the last step."""

    primary: Deployment
    older: tuple[Deployment, ...]
    newly_failed: bool
    """Whether a start of the PRIMARY deployment failed that was not counted before."""


def completed(deployment_id: str) -> str:
    """rolloutStateReason of a finished deployment."""
    return f"ECS deployment {deployment_id} completed."


def count_outcomes(view: ServiceView, primary: Deployment) -> Outcomes:
    """Count each failed start once, and start afresh when a task of a newer round has run.

    Tasks that were launched together fail together: they make one failed round, however many they are.
    """
    after = counted(primary, view)
    older = tuple(counted(deployment, view) for deployment in view.older)
    if watches(view.service, primary):
        after = with_new_failures(view, after)
    return Outcomes(after, older, after.launch_round != primary.launch_round)


def counted(owner: Owner, view: ServiceView) -> Owner:
    """A deployment or task set after what its tasks did since the last step."""
    failures = [failure for failure in view.failed_starts if failure.deployment == owner.id]
    good_round = max(owner.good_round, _newest_round_that_ran(view.tasks, owner.id))
    failed_tasks = 0 if good_round > owner.good_round else owner.failed_tasks
    after = replace(
        owner,
        good_round=good_round,
        failed_tasks=failed_tasks + len(failures),
        launch_round=owner.launch_round + _is_new_round(owner, failures),
        last_failed_at=view.now if failures else owner.last_failed_at,
    )
    return owner if after == owner else replace(after, updated_at=view.now)


def _newest_round_that_ran(tasks: Iterable[TaskView], owner_id: str) -> int:
    rounds = (task.launch_round for task in tasks if task.has_run and task.deployment == owner_id)
    return max(rounds, default=0)


def _is_new_round(owner: TaskOwner, failures: list[FailedStart]) -> bool:
    return any(failure.launch_round >= owner.launch_round for failure in failures)


def complete(deployment: Deployment, now: float) -> Deployment:
    """The deployment as COMPLETED, if it was in progress."""
    if deployment.rollout_state != "IN_PROGRESS":
        return deployment
    reason = completed(deployment.id)
    done = replace(deployment, rollout_state="COMPLETED", rollout_state_reason=reason, updated_at=now)
    return done if done.outcome else ended(done, "SUCCESSFUL", reason, now)


def settle_older(
    older: Iterable[Deployment], primary: Deployment, tasks: Iterable[TaskView], now: float
) -> tuple[tuple[Deployment, ...], tuple[Deployment, ...]]:
    """Old deployments that stay, and those that leave the service: their last task has ended.

    Until the PRIMARY one has completed, the one that it can be rolled back to stays without tasks, and so
    does one that is being rolled back; INACTIVE, they are no longer among the service's deployments.
    """
    occupied = {task.deployment for task in tasks}
    staying, leaving = [], []
    for deployment in older:
        if deployment.outcome == "ROLLBACK_IN_PROGRESS" and primary.rollout_state == "COMPLETED":
            deployment = ended(deployment, "ROLLBACK_SUCCESSFUL", f"Rolled back to {primary.id}.", now)
        if deployment.id in occupied:
            staying.append(deployment)
        elif primary.rollout_state != "COMPLETED" and _is_needed(deployment, primary):
            staying.append(_inactive(deployment, now))
        else:
            leaving.append(_inactive(deployment, now))
    return tuple(staying), tuple(leaving)


def _is_needed(deployment: Deployment, primary: Deployment) -> bool:
    return deployment.id == primary.rolls_back_to or deployment.outcome == "ROLLBACK_IN_PROGRESS"


def _inactive(deployment: Deployment, now: float) -> Deployment:
    if deployment.status == "INACTIVE":
        return deployment
    return replace(deployment, status="INACTIVE", updated_at=now)
