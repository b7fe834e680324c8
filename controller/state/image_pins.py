"""All tasks of a deployment run the same bits: tags are resolved once, by the first task that tells.

ECS's rule (version consistency): later tasks of the deployment are sent the image with that digest. A new
deployment resolves anew; task sets are deployments in this, too. Left as they are: containers whose
`versionConsistency` is `disabled`, images with a digest in their name, and images that came from no registry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from controller.state.entities import (
    Deployment,
    Document,
    Task,
    TaskOwner,
    TaskSet,
    deployment_key,
    task_set_key,
)

if TYPE_CHECKING:
    from controller.state.kernel import Reader

Owner = TypeVar("Owner", bound=TaskOwner)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def owner_of(read: Reader, task: Task) -> TaskOwner | None:
    """The deployment or task set that a task is of; None for a standalone task, and where it is gone."""
    if task.service is None or task.deployment is None:
        return None
    names = task.cluster, task.service, task.deployment
    return read.get(Deployment, deployment_key(*names)) or read.get(TaskSet, task_set_key(*names))


def with_digests(owner: Owner, document: Document, task: Task) -> Owner:
    """The deployment or task set with the digests that one of its tasks has told; the same object if it knows
    them.

    `document` is the task definition's.
    """
    known = dict(owner.image_digests)
    told = {container.name: container.image_digest for container in task.containers}
    new = {
        container["name"]: told[container["name"]]
        for container in document["containerDefinitions"]
        if _is_to_be_pinned(container)
        and container["name"] not in known
        and _DIGEST.fullmatch(told.get(container["name"], ""))
    }
    if not new:
        return owner
    return replace(owner, image_digests=(*owner.image_digests, *new.items()))


def runs_another_image(owner: TaskOwner, task: Task) -> bool:
    """Whether a task has told another digest than its deployment or task set has settled on: it was started
    together with the first one, before that had told."""
    if not owner.image_digests:
        return False
    settled = dict(owner.image_digests)
    return any(
        container.image_digest
        and container.image_digest != settled.get(container.name, container.image_digest)
        for container in task.containers
    )


def pinned_image(image: str, container: str, digests: Mapping[str, str]) -> str:
    """The image as a container gets it; `digests` are by container name."""
    digest = digests.get(container)
    return f"{image}@{digest}" if digest and "@" not in image else image


def _is_to_be_pinned(container: Document) -> bool:
    return container.get("versionConsistency") != "disabled" and "@" not in container["image"]
