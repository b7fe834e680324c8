"""A cgroup for each task, which bounds the CPU and memory of its containers together.

Made before the first container is created, made good after a restart of the machine, and removed when the
task is cleaned up. Where the host has no such cgroups, tasks run without; then the capability is not
registered, and no task that needs it is placed here.
"""

import os
import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.config import AgentConfig
from agent.engine.cgroup_hosts import CgroupHost, NoTaskCgroupsError, cgroup_host, is_occupied
from agent.engine.errors import CgroupError
from agent.engine.lanes import Lane
from agent.engine.task_limits import TaskLimits, slice_name, task_limits
from agent.protocol import acs
from agent.protocol.arn import last_segment

log = structlog.get_logger(__name__)

_OWNER_ATTRIBUTE = "trusted.homeport.agent"
"""Which agent made the cgroup: several of them can share one machine."""
_TASK_ID = re.compile(r"[A-Za-z0-9_-]+")
_THREADS = 4


class TaskLimitsRequiredError(Exception):
    """``ECS_ENABLE_TASK_CPU_MEM_LIMIT`` is true and the host cannot do it."""


class TaskCgroups:
    """The cgroups of this agent's tasks."""

    def __init__(self, config: AgentConfig, owner: str) -> None:
        """``owner`` tells this agent from others on the same machine."""
        self._setting = config.task_cpu_mem_limit
        self._root = config.cgroup_path
        self._period_s = config.cgroup_cpu_period_s
        self._pids = config.task_pids_limit
        self._engine_is_here = config.docker_host.startswith("unix://")
        self._owner = owner.encode()
        self._host: CgroupHost | None = None
        self._in_force: set[str] = set()
        self._lane = Lane("task-cgroups", _THREADS)

    @property
    def enforced(self) -> bool:
        """Whether CPU and memory of tasks are limited here."""
        return self._host is not None

    async def open(self, info: Mapping[str, Any]) -> None:
        """Find out what the host can do, ``info`` being the engine's answer to ``/info``.

        Raises ``TaskLimitsRequiredError``.
        """
        if self._setting is False:
            log.info("task_limits_off", setting="ECS_ENABLE_TASK_CPU_MEM_LIMIT=false")
            return
        try:
            host = cgroup_host(
                info,
                self._root,
                engine_is_here=self._engine_is_here,
                limits_pids=self._pids is not None,
            )
            await self._lane.call(host.prepare)
        except (NoTaskCgroupsError, OSError) as error:
            if self._setting:
                raise TaskLimitsRequiredError(
                    f"ECS_ENABLE_TASK_CPU_MEM_LIMIT=true, but tasks cannot be limited here: {error}"
                ) from error
            log.warning("task_limits_not_possible", reason=str(error), placed_here="tasks without limits")
        else:
            self._host = host
            log.info("task_limits_in_force", by=type(host).__name__, root=str(self._root))

    def parent(self, task_arn: str) -> str | None:
        """The ``CgroupParent`` of a task's containers; None leaves it to the engine."""
        return self._host.parent(last_segment(task_arn)) if self._host is not None else None

    async def ensure(self, task: acs.Task) -> None:
        """Make the task's cgroup and put its limits in force, unless this was done before.

        Raises ``CgroupError``.
        """
        host, arn = self._host, task.arn or ""
        if host is None or arn in self._in_force:
            return
        task_id = last_segment(arn)
        if not _TASK_ID.fullmatch(task_id):
            raise CgroupError(f"Agent could not create task's platform resources: {task_id!r} is no task id")
        cpus = tuple(container.cpu or 0 for container in task.containers)
        limits = task_limits(task.cpu, task.memory, cpus, self._period_s, self._pids)
        try:
            await self._lane.call(lambda: self._make(host, task_id, limits))
        except OSError as error:
            raise CgroupError(f"Agent could not create task's platform resources: {error}") from error
        self._in_force.add(arn)

    async def remove(self, task_arn: str) -> None:
        """Remove a task's cgroup, whose containers are gone. Raises ``CgroupError``."""
        host, task_id = self._host, last_segment(task_arn)
        self._in_force.discard(task_arn)
        if host is None or not _TASK_ID.fullmatch(task_id):
            return
        try:
            await self._lane.call(lambda: host.remove(task_id))
        except OSError as error:
            raise CgroupError(f"Agent could not remove task's platform resources: {error}") from error

    async def remove_orphans(self, known: Collection[str]) -> None:
        """Remove the empty cgroups that this agent made for tasks that are not among ``known`` (ARNs): their
        story was lost with the checkpoint.
        """
        host = self._host
        if host is None:
            return
        ids = {last_segment(arn) for arn in known}
        for place in await self._lane.call(lambda: self._orphans(host, ids)):
            task_id = place.name.removeprefix("ecstasks-").removesuffix(".slice")
            try:
                await self._lane.call(partial(host.remove, task_id))
            except OSError as error:
                log.warning("cgroup_left", place=str(place), reason=str(error))
            else:
                log.info("orphaned_cgroup_removed", place=str(place))

    async def close(self) -> None:
        """End the threads; the cgroups stay."""
        await self._lane.close()

    def _make(self, host: CgroupHost, task_id: str, limits: TaskLimits) -> None:
        host.limit(task_id, limits)
        try:
            os.setxattr(host.place(task_id), _OWNER_ATTRIBUTE, self._owner)
        except OSError as error:  # only tidying up after a lost checkpoint needs it
            log.debug("cgroup_not_marked", place=str(host.place(task_id)), reason=str(error))

    def _orphans(self, host: CgroupHost, known_ids: set[str]) -> list[Path]:
        above = host.place("any").parent
        names = known_ids | {slice_name(task_id) for task_id in known_ids}
        places = (place for place in sorted(above.glob("*")) if place.is_dir() and place.name not in names)
        return [place for place in places if self._is_ours(place) and not is_occupied(place)]

    def _is_ours(self, place: Path) -> bool:
        try:
            return os.getxattr(place, _OWNER_ATTRIBUTE) == self._owner
        except OSError:
            return False  # somebody else made it
