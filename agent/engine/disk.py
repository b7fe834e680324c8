"""How full the disks are that tasks fill, and what follows from it."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from agent.engine.lanes import Lane

DiskStatus = Literal["OK", "WARNING", "FULL"]


class Fill(msgspec.Struct, frozen=True, gc=False):
    """How full a file system is. Sizes are in bytes."""

    path: str
    """Something on it that the agent or the container engine writes to."""
    total: int
    used: int
    available: int
    """To anybody but the system's administrator."""
    inodes: int = 0
    """0 where the file system does not count them."""
    inodes_used: int = 0

    @property
    def space_percent(self) -> int:
        """Percent of the space in use, rounded up, as ``df`` tells it."""
        return _percent(self.used, self.used + self.available)

    @property
    def inode_percent(self) -> int:
        """Percent of the inodes in use, rounded up: without a free one no file can be made."""
        return _percent(self.inodes_used, self.inodes)

    @property
    def percent(self) -> int:
        """The higher of both."""
        return max(self.space_percent, self.inode_percent)

    @property
    def sentence(self) -> str:
        """The fill in words."""
        if self.inode_percent > self.space_percent:
            return f"{self.inode_percent} % of the inodes used on {self.path}"
        return f"disk {self.space_percent} % full on {self.path}"


class DiskCondition(msgspec.Struct, frozen=True, gc=False):
    """What the disks mean for tasks."""

    status: DiskStatus
    fills: tuple[Fill, ...] = ()
    """The fullest first."""

    @property
    def reason(self) -> str:
        """The fullest disk in words, unless all is well."""
        return self.fills[0].sentence if self.fills and self.status != "OK" else ""

    @property
    def percent(self) -> int:
        """How full the fullest is."""
        return self.fills[0].percent if self.fills else 0


UNKNOWN = DiskCondition("OK")
"""Before anything was measured."""


def _percent(part: int, whole: int) -> int:
    return -(-100 * part // whole) if whole else 0


def measure(paths: Iterable[Path]) -> tuple[Fill, ...]:
    """The fill of the file systems below ``paths``, each file system once. Blocks.

    A path that is not on this machine (an engine elsewhere) is passed over.
    """
    found: dict[int, Fill] = {}
    for path in paths:
        try:
            device, stat = path.stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        found.setdefault(
            device,
            Fill(
                path=str(path),
                total=stat.f_blocks * stat.f_frsize,
                used=(stat.f_blocks - stat.f_bfree) * stat.f_frsize,
                available=stat.f_bavail * stat.f_frsize,
                inodes=stat.f_files,
                inodes_used=stat.f_files - stat.f_ffree,
            ),
        )
    return tuple(found.values())


def log_sizes(root: Path, container_ids: Iterable[str]) -> dict[str, int | None]:
    """The sizes of containers' log files below the engine's root, as the drivers that keep files there lay
    them. Blocks. None for a container whose files must not be read.
    """
    return {id_: _log_size(root / "containers" / id_) for id_ in container_ids}


def _log_size(folder: Path) -> int | None:
    try:
        files = [path for path in folder.iterdir() if "-json.log" in path.name]
        local = folder / "local-logs"
        files += list(local.iterdir()) if local.is_dir() else []
    except OSError:
        return None
    return sum(_size(path) for path in files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # rotated away in between


class Disks:
    """Measures in a thread of its own: a file system that hangs holds up nothing else."""

    def __init__(self) -> None:
        self._lane = Lane("disks", 1)

    async def measure(self, paths: Sequence[Path]) -> tuple[Fill, ...]:
        """As the function ``measure``."""
        return await self._lane.call(lambda: measure(paths))

    async def log_sizes(self, root: Path, container_ids: Sequence[str]) -> dict[str, int | None]:
        """The sizes of containers' log files; see the function of that name."""
        return await self._lane.call(lambda: log_sizes(root, container_ids))

    async def close(self) -> None:
        """End the thread."""
        await self._lane.close()


def judge(fills: Sequence[Fill], warning_percent: int, full_percent: int) -> DiskCondition:
    """What follows from the fills: the fullest decides. 100 percent as a limit is never reached."""
    ordered = tuple(sorted(fills, key=lambda fill: (-fill.percent, fill.path)))
    highest = ordered[0].percent if ordered else 0
    status: DiskStatus = "OK"
    if highest >= full_percent and full_percent < 100:
        status = "FULL"
    elif highest >= warning_percent and warning_percent < 100:
        status = "WARNING"
    return DiskCondition(status, ordered)
