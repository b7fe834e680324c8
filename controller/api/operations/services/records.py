"""New records of services and deployments."""

from __future__ import annotations

from controller.state.entities import Deployment, Service, TaskDefinition


def new_deployment(
    service: Service, definition: TaskDefinition, deployment_id: str, now: float
) -> Deployment:
    """The PRIMARY deployment of a service, which is to make a task definition what it runs."""
    return Deployment(
        cluster=service.cluster,
        service=service.name,
        id=deployment_id,
        status="PRIMARY",
        family=definition.family,
        revision=definition.revision,
        rollout_state="IN_PROGRESS",
        rollout_state_reason=f"ECS deployment {deployment_id} in progress.",
        created_at=now,
        updated_at=now,
    )
