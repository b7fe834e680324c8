"""Who holds what of the disks: the engine's own account, told apart by owner and by task.

All sizes are in bytes; one that nobody could tell is None.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec

from agent.engine.container_body import OWNER_LABEL, TASK_ARN_LABEL
from agent.engine.disk import DiskCondition

Owner = Literal["homeport", "others"]


class _Shape(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="pascal"):
    """As the introspection endpoint writes it."""


class DiskUse(_Shape, frozen=True, kw_only=True):
    """A disk and how full it is."""

    path: str
    percent: int
    total: int
    available: int


class ImageUse(_Shape, frozen=True, kw_only=True):
    """An image. ``unique`` is what would be free without it; the rest it shares with others."""

    id: str
    names: tuple[str, ...]
    owner: Owner
    """``homeport`` for one that this agent pulled."""
    size: int
    unique: int
    containers: int
    """How many are made of it."""


class ContainerUse(_Shape, frozen=True, kw_only=True):
    """A container: what it wrote to its own layer, and its log files."""

    name: str
    state: str
    owner: Owner
    task: str | None
    """ARN of its task."""
    writable: int
    logs: int | None


class VolumeUse(_Shape, frozen=True, kw_only=True):
    """A docker volume."""

    name: str
    owner: Owner
    """``homeport`` for one that belongs to a task or that a container of a task mounts."""
    tasks: tuple[str, ...]
    """ARNs of the tasks that it belongs to or is mounted by."""
    size: int | None
    mounted: bool


class DiskUsage(_Shape, frozen=True, kw_only=True):
    """Everything that takes space."""

    status: str
    reason: str
    disks: tuple[DiskUse, ...]
    images: tuple[ImageUse, ...]
    layers: int
    """All layers of all images, each once."""
    containers: tuple[ContainerUse, ...]
    volumes: tuple[VolumeUse, ...]
    build_cache: int


def disk_usage(
    body: Mapping[str, Any],
    condition: DiskCondition,
    pulled: Collection[str],
    logs: Mapping[str, int | None],
) -> DiskUsage:
    """The engine's answer to ``/system/df``, told apart. ``pulled`` are the ids of images that this agent
    brought, ``logs`` the sizes of the log files by container id.
    """
    containers: list[Mapping[str, Any]] = body.get("Containers") or []
    return DiskUsage(
        status=condition.status,
        reason=condition.reason,
        disks=tuple(
            DiskUse(path=fill.path, percent=fill.percent, total=fill.total, available=fill.available)
            for fill in condition.fills
        ),
        images=tuple(_image(image, pulled) for image in body.get("Images") or ()),
        layers=body.get("LayersSize") or 0,
        containers=tuple(
            ContainerUse(
                name=(entry.get("Names") or [entry["Id"]])[0].lstrip("/"),
                state=entry.get("State") or "",
                owner=_owner(entry),
                task=_labels(entry).get(TASK_ARN_LABEL),
                writable=entry.get("SizeRw") or 0,
                logs=logs.get(entry["Id"]),
            )
            for entry in containers
        ),
        volumes=tuple(_volume(volume, containers) for volume in body.get("Volumes") or ()),
        build_cache=sum(item.get("Size") or 0 for item in body.get("BuildCache") or ()),
    )


def _image(image: Mapping[str, Any], pulled: Collection[str]) -> ImageUse:
    size, shared = image.get("Size") or 0, image.get("SharedSize") or 0
    names = [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
    return ImageUse(
        id=image["Id"],
        names=tuple(name for name in names if not name.startswith("<none>")),
        owner="homeport" if image["Id"] in pulled else "others",
        size=size,
        unique=size - max(shared, 0),
        containers=max(image.get("Containers") or 0, 0),
    )


def _volume(volume: Mapping[str, Any], containers: Collection[Mapping[str, Any]]) -> VolumeUse:
    users = [c for c in containers if any(m.get("Name") == volume["Name"] for m in c.get("Mounts") or ())]
    own = _labels(volume).get(TASK_ARN_LABEL)
    tasks = {arn for user in users if (arn := _labels(user).get(TASK_ARN_LABEL))} | ({own} if own else set())
    size = (volume.get("UsageData") or {}).get("Size", -1)
    return VolumeUse(
        name=volume["Name"],
        owner="homeport" if tasks or _owner(volume) == "homeport" else "others",
        tasks=tuple(sorted(tasks)),
        size=size if size >= 0 else None,
        mounted=bool(users),
    )


def _labels(thing: Mapping[str, Any]) -> Mapping[str, str]:
    return thing.get("Labels") or {}


def _owner(thing: Mapping[str, Any]) -> Owner:
    """Whether an agent of Homeport made it, this one or another on the same engine."""
    return "homeport" if OWNER_LABEL in _labels(thing) else "others"
