"""Records as the gateway's tests need them."""

from __future__ import annotations

from typing import Any

from controller.state.entities import ContainerInstance, Document, Task, TaskContainer, TaskDefinition
from controller.state.names import Names
from controller.state.store.interface import Meta

NAMES = Names(account="000000000000", region="us-east-1")
META = Meta(
    schema_version=1,
    store_uuid="store",
    epoch=7,
    restore_epoch=0,
    seq=0,
    account=NAMES.account,
    region=NAMES.region,
)
RESTORED = Meta(
    schema_version=1,
    store_uuid="store",
    epoch=7,
    restore_epoch=5,
    seq=0,
    account=NAMES.account,
    region=NAMES.region,
)
INSTANCE_ID = f"{1:032x}"


def instance(number: int = 1, **changes: Any) -> ContainerInstance:
    """A registered container instance."""
    fields: dict[str, Any] = {
        "cluster": "default",
        "id": f"{number:032x}",
        "ec2_instance_id": f"mi-{number:017x}",
        "cpu": 2048,
        "memory": 4096,
        "registered_at": 1_700_000_000.0,
    }
    return ContainerInstance(**{**fields, **changes})


def task(number: int = 1, **changes: Any) -> Task:
    """A standalone task placed on the first instance."""
    fields: dict[str, Any] = {
        "cluster": "default",
        "id": f"{number:032x}",
        "family": "web",
        "revision": 3,
        "instance": INSTANCE_ID,
        "group": "family:web",
        "containers": (TaskContainer(name="app", id="00000000-0000-4000-8000-000000000001"),),
        "created_at": 1_700_000_000.0 + number,
        "created_epoch": 7,
    }
    return Task(**{**fields, **changes})


def arn(number: int = 1) -> str:
    """ARN of `task(number)`."""
    return NAMES.task_id("default", f"{number:032x}")


def container(**members: Any) -> Document:
    """A container definition, with ECS's defaults filled in."""
    return {
        "name": "app",
        "image": "busybox:1",
        "cpu": 0,
        "memory": 64,
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "portMappings": [],
        **members,
    }


def definition(*containers: Document, **members: Any) -> TaskDefinition:
    """Revision 3 of the family web."""
    document = {
        "family": "web",
        "containerDefinitions": list(containers or [container()]),
        "volumes": [],
        "placementConstraints": [],
        **members,
    }
    return TaskDefinition(family="web", revision=3, document=document, registered_at=1_700_000_000.0)
