"""What becomes of a service's deployments: counting failed and good starts, completing, going away."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from controller.services.view import FailedStart, ServiceView, TaskView
from controller.state.entities import Deployment


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
    counted = _counted(primary, view)
    older = tuple(_counted(deployment, view) for deployment in view.older)
    return Outcomes(counted, older, counted.launch_round != primary.launch_round)


def _counted(deployment: Deployment, view: ServiceView) -> Deployment:
    failures = [failure for failure in view.failed_starts if failure.deployment == deployment.id]
    good_round = max(deployment.good_round, _newest_round_that_ran(view.tasks, deployment.id))
    failed_tasks = 0 if good_round > deployment.good_round else deployment.failed_tasks
    counted = replace(
        deployment,
        good_round=good_round,
        failed_tasks=failed_tasks + len(failures),
        launch_round=deployment.launch_round + _is_new_round(deployment, failures),
        last_failed_at=view.now if failures else deployment.last_failed_at,
    )
    return deployment if counted == deployment else replace(counted, updated_at=view.now)


def _newest_round_that_ran(tasks: Iterable[TaskView], deployment_id: str) -> int:
    rounds = (task.launch_round for task in tasks if task.has_run and task.deployment == deployment_id)
    return max(rounds, default=0)


def _is_new_round(deployment: Deployment, failures: list[FailedStart]) -> bool:
    return any(failure.launch_round >= deployment.launch_round for failure in failures)


def complete(deployment: Deployment, now: float) -> Deployment:
    """The deployment as COMPLETED, if it was in progress."""
    if deployment.rollout_state != "IN_PROGRESS":
        return deployment
    return replace(
        deployment, rollout_state="COMPLETED", rollout_state_reason=completed(deployment.id), updated_at=now
    )


def emptied(older: Iterable[Deployment], tasks: Iterable[TaskView]) -> list[Deployment]:
    """Old deployments whose last task has ended; they leave the service."""
    occupied = {task.deployment for task in tasks}
    return [deployment for deployment in older if deployment.id not in occupied]
