"""What a service revision fixes, and how a service deployment moves from one to the next.

It is what ecs-semantics 7.10 calls service revisions and service deployments.

A deployment's record stands for both: for the revision that it makes what the service runs, and for the
movement there. Going back makes the earlier deployment the PRIMARY one again, with its own revision.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from controller.state.entities import (
    Deployment,
    Document,
    RolloutState,
    Service,
    ServiceDeploymentStatus,
    TaskOwner,
)

REVISION_MEMBERS = ("networkConfiguration", "platformVersion", "monitoring", "capacityProviderStrategy")
"""Members of a service, beside its launch type, that are fixed in each revision of it."""

_BY_ROLLOUT_STATE: dict[RolloutState, ServiceDeploymentStatus] = {
    "IN_PROGRESS": "IN_PROGRESS",
    "COMPLETED": "SUCCESSFUL",
    "FAILED": "STOPPED",
}


def revision_settings(service: Service) -> Document:
    """What a revision made now of a service fixes."""
    kept = {name: service.options[name] for name in REVISION_MEMBERS if name in service.options}
    return {"launchType": service.launch_type, **kept}


def settings_of(owner: TaskOwner, service: Service) -> Document:
    """What a deployment's revision, or a task set, fixes; deployments of earlier versions have the service's
    settings."""
    return owner.settings or revision_settings(service)


def with_settings(service: Service, settings: Document) -> Service:
    """The service with the settings of one of its revisions."""
    rest = {name: value for name, value in service.options.items() if name not in REVISION_MEMBERS}
    kept = {name: settings[name] for name in REVISION_MEMBERS if name in settings}
    return replace(service, launch_type=settings["launchType"], options={**rest, **kept})


def status_of(deployment: Deployment) -> ServiceDeploymentStatus:
    """Status of the service deployment."""
    return deployment.outcome or _BY_ROLLOUT_STATE[deployment.rollout_state]


def last_completed(deployment: Deployment) -> str:
    """Id of the newest completed deployment up to this one; empty if there was none."""
    return deployment.id if status_of(deployment) == "SUCCESSFUL" else deployment.rolls_back_to


def superseded(deployment: Deployment, now: float) -> Deployment:
    """A PRIMARY deployment, or one that was being rolled back, once a newer one has begun."""
    status = status_of(deployment)
    changed = replace(
        deployment,
        status="ACTIVE" if deployment.status == "PRIMARY" else deployment.status,
        updated_at=now,
    )
    if status == "IN_PROGRESS":
        return ended(changed, "STOPPED", "Replaced by a newer service deployment.", now)
    if status == "ROLLBACK_IN_PROGRESS":
        return ended(changed, "ROLLBACK_FAILED", "Replaced by a newer service deployment.", now)
    return changed


def ended(
    deployment: Deployment,
    outcome: Literal["SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"],
    reason: str,
    now: float,
) -> Deployment:
    """A service deployment at its end."""
    return replace(
        deployment,
        outcome=outcome,
        outcome_reason=reason,
        finished_at=now,
        stopped_at=now if outcome == "STOPPED" else deployment.stopped_at,
        updated_at=now,
    )


def roll_back(
    failed: Deployment, target: Deployment, reason: str, now: float
) -> tuple[Deployment, Deployment]:
    """A PRIMARY deployment that is rolled back, and the earlier one as the PRIMARY one again."""
    rolled_back = replace(
        failed,
        status="ACTIVE",
        rollout_state="FAILED",
        rollout_state_reason=f"{reason}: rolling back to deploymentId {target.id}.",
        outcome="ROLLBACK_IN_PROGRESS",
        outcome_reason=reason,
        rollback_started_at=now,
        stopped_at=now,
        steady=False,
        updated_at=now,
    )
    again = replace(
        target,
        status="PRIMARY",
        rollout_state="IN_PROGRESS",
        rollout_state_reason=f"ECS deployment {target.id} in progress.",
        outcome=status_of(target),
        steady=False,
        updated_at=now,
    )
    return rolled_back, again


def abort(primary: Deployment, reason: str, now: float) -> Deployment:
    """A PRIMARY deployment that goes no further: what runs stays, and nothing new is started."""
    failed = replace(
        primary, rollout_state="FAILED", rollout_state_reason=f"{reason}.", steady=False, updated_at=now
    )
    return ended(failed, "STOPPED", reason, now) if status_of(primary) == "IN_PROGRESS" else failed
