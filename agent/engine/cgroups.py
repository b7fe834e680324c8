"""Where the kernel keeps the figures of a container: its cgroup's files, version 1 or 2, and its network's.

A cgroup is found once per container and remembered, as is a process in it, by a handle that the kernel
invalidates when the process ends: a process id that is given to another process cannot be mistaken for it.
"""

import os
import re
from pathlib import Path

import msgspec

from agent.engine.task_limits import container_places

_CHUNK = 1 << 16
_V2_FILE = "cgroup.controllers"


class Running(msgspec.Struct, frozen=True, gc=False):
    """A container to take samples of."""

    docker_id: str
    task_arn: str
    name: str
    own_network: bool
    """It, or its task, has a network namespace of its own, whose interfaces' counters are told."""
    restarts: int | None = None
    """How often its restart policy has had it started again; None if it has none."""


class Place:
    """The cgroup of one container, in every hierarchy."""

    def __init__(self, root: str, name: str, version: int, proc: str) -> None:
        self.version = version
        self._root = root
        self._name = name
        self._proc = proc
        self._process: int | None = None

    def read(self, controller: str, file: str) -> str:
        """A file of a controller; in version 2 all controllers share one directory. Raises ``OSError``."""
        if self.version == 2:
            return read_text(f"{self._root}/{self._name}/{file}")
        return read_text(f"{self._root}/{controller}/{self._name}/{file}")

    def interfaces(self) -> str | None:
        """``net/dev`` as the container's processes see it; None if it has none. Raises ``OSError``."""
        if self._process is not None:
            try:
                return read_text("net/dev", directory=self._process)
            except OSError:  # that process has ended; another may be there
                self.close()
        pids = self.read("cpuacct", "cgroup.procs").split(maxsplit=1)
        if not pids:
            return None
        self._process = os.open(f"{self._proc}/{pids[0]}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return read_text("net/dev", directory=self._process)

    def close(self) -> None:
        """Let go of the process."""
        if self._process is not None:
            os.close(self._process)
            self._process = None


class Places:
    """The cgroups of containers below ``root`` (``/sys/fs/cgroup``)."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> None:
        self._root = str(root)
        self._proc = str(proc)
        self._found: dict[str, Place] = {}

    @property
    def proc(self) -> str:
        """Where ``/proc`` is mounted."""
        return self._proc

    def of(self, container: Running) -> Place | None:
        """A container's cgroup; None if there is none: it has ended, or its engine is elsewhere."""
        place = self._found.get(container.docker_id) or self._find(container)
        if place is not None:
            self._found[container.docker_id] = place
        return place

    def forget(self, docker_id: str) -> None:
        """Look for a container's cgroup anew the next time."""
        place = self._found.pop(docker_id, None)
        if place is not None:
            place.close()

    def keep_only(self, docker_ids: set[str]) -> None:
        """Forget all other containers."""
        for docker_id in self._found.keys() - docker_ids:
            self.forget(docker_id)

    def _find(self, container: Running) -> Place | None:
        version = 2 if Path(self._root, _V2_FILE).exists() else 1
        below = ("", "cpu.stat") if version == 2 else ("cpuacct/", "cpuacct.usage")
        for name in container_places(container.task_arn, container.docker_id):
            if Path(f"{self._root}/{below[0]}{name}/{below[1]}").exists():
                return Place(self._root, name, version, self._proc)
        return None


def read_text(path: str, *, directory: int | None = None) -> str:
    """A file of the kernel's, in few system calls: a pass over all containers reads hundreds. Raises
    ``OSError``.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        content = b""
        while part := os.read(file, _CHUNK):
            content += part
    finally:
        os.close(file)
    return content.decode()


def fields(text: str) -> dict[str, int]:
    """Lines of a name and a whole number, such as those of ``memory.stat``."""
    return {key: int(value) for key, _, value in (line.partition(" ") for line in text.splitlines())}


def field(text: str, name: str) -> int:
    """One of them. Raises ``KeyError`` if it is not there."""
    found = re.search(rf"^{name} ([0-9]+)$", text, re.MULTILINE)
    if found is None:
        raise KeyError(name)
    return int(found[1])
