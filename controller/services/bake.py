"""Bake time: a deployment that has made what the service runs is watched for a while before it is COMPLETED.

Until then it is IN_PROGRESS, its circuit breaker counts on, and there is something to go back to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from controller.services.revisions import status_of
from controller.services.rollout import complete
from controller.state.entities import Deployment

if TYPE_CHECKING:
    from controller.services.view import ServiceView


def baked(view: ServiceView, primary: Deployment) -> Deployment:
    """The PRIMARY deployment of a service that is steady: COMPLETED once its bake time is over.

    The time runs from when the service was steady for the first time; a task that is replaced meanwhile does
    not start it anew. Going back to an earlier deployment needs none.
    """
    if status_of(primary) != "IN_PROGRESS" or not view.bake_time_s:
        return complete(primary, view.now)
    if primary.baking_since is None:
        return replace(primary, baking_since=view.now, updated_at=view.now)
    return primary if view.bake_left_s else complete(primary, view.now)
