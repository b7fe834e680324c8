"""Records as tests need them."""

from __future__ import annotations

from typing import Any

from controller.state.changes import Cause
from controller.state.entities import Cluster, Task, TaskContainer

CAUSE = Cause(kind="request", id="request-1", caller="arn:aws:iam::000000000000:user/admin")


def cluster(name: str = "default", **changes: Any) -> Cluster:
    """A cluster."""
    return Cluster(**{"name": name, "created_at": 1_700_000_000.0, **changes})


def task(number: int = 1, **changes: Any) -> Task:
    """A task placed on the first instance."""
    fields: dict[str, Any] = {
        "cluster": "default",
        "id": f"{number:032x}",
        "family": "web",
        "revision": 1,
        "instance": f"{1:032x}",
        "group": "service:web",
        "started_by": "ecs-svc/1",
        "service": "web",
        "deployment": "ecs-svc/1",
        "containers": (TaskContainer(name="app", id="00000000-0000-4000-8000-000000000001"),),
        "cpu": 128,
        "memory": 64,
        "ports_tcp": (8080,),
        "created_at": 1_700_000_000.0,
        "created_epoch": 1,
    }
    return Task(**{**fields, **changes})
