"""The set-ups of cgroups that a host can have, each with the same five operations.

They block, if only shortly. What the kernel or systemd refuses is an ``OSError``.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent.engine.task_limits import (
    PARENT,
    PARENT_SLICE,
    PIDS,
    TaskLimits,
    slice_name,
    systemd_properties,
    v1_files,
    v2_files,
)

_CONTROLLERS = ("cpu", "memory")
_SYSTEMD_RUNTIME = Path("/run/systemd/system")
_SYSTEMCTL_S = 30.0


class NoTaskCgroupsError(Exception):
    """This host cannot have cgroups for tasks; the message says why."""


class CgroupHost(Protocol):
    """How cgroups of tasks are made on a host."""

    def prepare(self) -> None:
        """Make what all tasks share. Raises ``NoTaskCgroupsError`` or ``OSError`` if that is impossible."""

    def parent(self, task_id: str) -> str:
        """The ``CgroupParent`` of the task's containers, in the engine's words."""

    def place(self, task_id: str) -> Path:
        """A directory that is there if and only if the task's cgroup is."""

    def limit(self, task_id: str, limits: TaskLimits) -> None:
        """Make the task's cgroup, if it is not there, and put its limits in force."""

    def remove(self, task_id: str) -> None:
        """Remove the task's cgroup, if it is there. Raises ``OSError`` while processes are in it."""


class CgroupV1:
    """One hierarchy for each controller, the engine's driver being ``cgroupfs``."""

    def __init__(self, root: Path, controllers: Sequence[str] = _CONTROLLERS) -> None:
        self._root = root
        self._controllers = controllers

    def prepare(self) -> None:
        for controller in self._controllers:
            hierarchy = self._root / controller
            if not hierarchy.is_dir():
                raise NoTaskCgroupsError(f"the {controller} controller of cgroup v1 is not at {hierarchy}")
            (hierarchy / PARENT).mkdir(exist_ok=True)
        if not (self._root / "cpu" / PARENT / "cpu.cfs_quota_us").exists():
            raise NoTaskCgroupsError("the kernel has no CPU quotas (CONFIG_CFS_BANDWIDTH)")
        # On old kernels a limit does not reach down to the containers unless told to.
        reaches_down = self._root / "memory" / PARENT / "memory.use_hierarchy"
        if reaches_down.exists() and reaches_down.read_text().strip() == "0":
            reaches_down.write_text("1")

    def parent(self, task_id: str) -> str:
        return f"/{PARENT}/{task_id}"

    def place(self, task_id: str) -> Path:
        return self._root / "memory" / PARENT / task_id

    def limit(self, task_id: str, limits: TaskLimits) -> None:
        for controller in self._controllers:
            (self._root / controller / PARENT / task_id).mkdir(exist_ok=True)
        for controller, file, content in v1_files(limits):
            (self._root / controller / PARENT / task_id / file).write_text(content)

    def remove(self, task_id: str) -> None:
        # The engine's runtime made one of the same name in every other hierarchy.
        for hierarchy in self._root.iterdir():
            _remove_tree(hierarchy / PARENT / task_id)


class CgroupV2:
    """The unified hierarchy, the engine's driver being ``cgroupfs``."""

    def __init__(self, root: Path, controllers: Sequence[str] = _CONTROLLERS) -> None:
        self._root = root
        self._controllers = controllers

    def prepare(self) -> None:
        _check_v2_controllers(self._root, self._controllers)
        _delegate(self._root, self._controllers)
        (self._root / PARENT).mkdir(exist_ok=True)
        _delegate(self._root / PARENT, self._controllers)

    def parent(self, task_id: str) -> str:
        return f"/{PARENT}/{task_id}"

    def place(self, task_id: str) -> Path:
        return self._root / PARENT / task_id

    def limit(self, task_id: str, limits: TaskLimits) -> None:
        place = self.place(task_id)
        place.mkdir(exist_ok=True)
        _delegate(place, self._controllers)
        for file, content in v2_files(limits):
            (place / file).write_text(content)

    def remove(self, task_id: str) -> None:
        _remove_tree(self.place(task_id))


def run_command(command: Sequence[str]) -> None:
    """Run a program; raises ``OSError`` with its own words if it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SYSTEMCTL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{' '.join(command)} gave no answer within {_SYSTEMCTL_S:g} s") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise OSError(f"{' '.join(command)}: {words or f'exit code {done.returncode}'}")


class SystemdSlices:
    """Slices of systemd, which alone writes cgroup files where the engine's driver is ``systemd``."""

    def __init__(
        self,
        root: Path,
        *,
        unified: bool,
        controllers: Sequence[str] = _CONTROLLERS,
        run: Callable[[Sequence[str]], None] = run_command,
        runtime: Path = _SYSTEMD_RUNTIME,
    ) -> None:
        """``unified`` says that the host has cgroup v2; ``runtime`` is there where systemd runs."""
        self._root = root
        self._unified = unified
        self._controllers = controllers
        self._run = run
        self._runtime = runtime

    def prepare(self) -> None:
        if not self._runtime.exists():
            raise NoTaskCgroupsError("the Docker engine's cgroup driver is systemd, which does not run here")
        if self._unified:
            _check_v2_controllers(self._root, self._controllers)
        self._run(("systemctl", "start", PARENT_SLICE))

    def parent(self, task_id: str) -> str:
        return slice_name(task_id)

    def place(self, task_id: str) -> Path:
        hierarchy = self._root if self._unified else self._root / "memory"
        return hierarchy / PARENT_SLICE / slice_name(task_id)

    def limit(self, task_id: str, limits: TaskLimits) -> None:
        name = slice_name(task_id)
        self._run(("systemctl", "set-property", "--runtime", name, *systemd_properties(limits)))
        self._run(("systemctl", "start", name))

    def remove(self, task_id: str) -> None:
        if is_occupied(self.place(task_id)):
            raise OSError(f"{slice_name(task_id)} still holds processes")  # stopping it would kill them
        self._run(("systemctl", "stop", slice_name(task_id)))
        self._run(("systemctl", "revert", slice_name(task_id)))


def cgroup_host(
    info: Mapping[str, Any], root: Path, *, engine_is_here: bool, limits_pids: bool = False
) -> CgroupHost:
    """The set-up of a host whose engine answers ``info`` to ``/info``; ``root`` is where cgroups are mounted.

    ``engine_is_here`` says that the engine is on this machine, ``limits_pids`` that processes will be limited
    too. Raises ``NoTaskCgroupsError``.
    """
    controllers = (*_CONTROLLERS, PIDS) if limits_pids else _CONTROLLERS
    if not engine_is_here:
        raise NoTaskCgroupsError("the Docker engine is reached over the network: its cgroups are elsewhere")
    if any(option.startswith("name=rootless") for option in info.get("SecurityOptions") or ()):
        raise NoTaskCgroupsError("the Docker engine runs without root's rights")
    there = "2" if (root / "cgroup.controllers").exists() else "1"
    version = info.get("CgroupVersion") or there
    if version != there:
        raise NoTaskCgroupsError(f"the Docker engine uses cgroup v{version}, but {root} is cgroup v{there}")
    match info.get("CgroupDriver"):
        case "cgroupfs":
            return CgroupV2(root, controllers) if version == "2" else CgroupV1(root, controllers)
        case "systemd":
            return SystemdSlices(root, unified=version == "2", controllers=controllers)
        case driver:
            raise NoTaskCgroupsError(f"the Docker engine's cgroup driver is {driver}")


def is_occupied(place: Path) -> bool:
    """Whether a cgroup, or one below it, holds processes."""
    return any(
        "cgroup.procs" in files and (Path(folder) / "cgroup.procs").read_text().strip()
        for folder, _, files in os.walk(place)
    )


def _check_v2_controllers(root: Path, controllers: Sequence[str]) -> None:
    there = (root / "cgroup.controllers").read_text().split()
    for controller in controllers:
        if controller not in there:
            raise NoTaskCgroupsError(f"cgroup v2 has no {controller} controller here")


def _delegate(cgroup: Path, controllers: Sequence[str]) -> None:
    """Let the cgroups below have limits of their own."""
    (cgroup / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


def _remove_tree(place: Path) -> None:
    """Remove a cgroup with all that are left below it; the kernel keeps those that hold processes."""
    for folder, _, _ in os.walk(place, topdown=False):
        Path(folder).rmdir()  # a cgroup's files are no obstacle
