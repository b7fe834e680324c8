"""New records of services and deployments."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.services.revisions import last_completed, revision_settings, superseded
from controller.state.entities import Deployment, Service, TaskDefinition
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE
from controller.state.kernel import Transaction


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
        settings=revision_settings(service),
        rollout_state="IN_PROGRESS",
        rollout_state_reason=f"ECS deployment {deployment_id} in progress.",
        created_at=now,
        updated_at=now,
    )


def put_next(transaction: Transaction, deployment: Deployment, sentence: str) -> None:
    """Put a service's new PRIMARY deployment in place of the present one, which ends if it has not yet."""
    service = f"{deployment.cluster}/{deployment.service}"
    present = list(transaction.select(DEPLOYMENTS_OF_SERVICE, service).values())
    for earlier in present:
        changed = superseded(earlier, transaction.now)
        if changed.status != earlier.status or changed.outcome != earlier.outcome:
            transaction.put(changed, "replaced by a newer deployment")
    transaction.put(
        replace(
            deployment,
            sources=_sources(present),
            rolls_back_to=next((last_completed(item) for item in present if item.status == "PRIMARY"), ""),
        ),
        sentence,
    )


def _sources(present: Iterable[Deployment]) -> tuple[str, ...]:
    running = [deployment for deployment in present if deployment.status != "INACTIVE"]
    newest_first = sorted(running, key=lambda item: (item.status != "PRIMARY", -item.created_at))
    return tuple(deployment.id for deployment in newest_first)
