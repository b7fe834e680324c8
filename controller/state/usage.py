"""What the tasks on each instance reserve, kept with every put so that placement never adds it up anew."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from controller.state.entities import Entity, Task, instance_key
from controller.state.lifecycle import holds_resources, is_ended, last_status

Item = TypeVar("Item", int, str)


class InstanceUsage:
    """Reservations and task counts of one instance."""

    __slots__ = ("cpu", "gpu_ids", "memory", "pending", "ports_tcp", "ports_udp", "running", "tasks")

    def __init__(self) -> None:
        self.cpu = 0
        self.memory = 0
        self.ports_tcp: Counter[int] = Counter()
        self.ports_udp: Counter[int] = Counter()
        self.gpu_ids: Counter[str] = Counter()
        self.tasks = 0
        """Tasks that hold resources."""
        self.running = 0
        """Tasks whose lastStatus is RUNNING (ECS: runningTasksCount)."""
        self.pending = 0
        """Tasks whose lastStatus is PENDING."""

    def add(self, task: Task, sign: int) -> None:
        """Count a task in (`sign` 1) or out (-1)."""
        self.cpu += sign * task.cpu
        self.memory += sign * task.memory
        self.tasks += sign
        _count(self.ports_tcp, task.ports_tcp, sign)
        _count(self.ports_udp, task.ports_udp, sign)
        _count(self.gpu_ids, task.gpu_ids, sign)
        if is_ended(task):
            return
        status = last_status(task)
        if status == "RUNNING":
            self.running += sign
        elif status == "PENDING":
            self.pending += sign


def _count(counter: Counter[Item], items: tuple[Item, ...], sign: int) -> None:
    for item in items:
        counter[item] += sign
        if not counter[item]:
            del counter[item]


_IDLE = InstanceUsage()


class UsageByInstance:
    """The usage of every instance that has tasks, by the instance's key."""

    def __init__(self) -> None:
        self._usages: dict[str, InstanceUsage] = {}

    def of(self, instance: str) -> InstanceUsage:
        """Usage of an instance. A live view that nobody else changes."""
        return self._usages.get(instance, _IDLE)

    def replace(self, old: Entity | None, new: Entity | None) -> None:
        """Count a record out and its successor in, as far as they are tasks with a place."""
        for entity, sign in ((old, -1), (new, 1)):
            if isinstance(entity, Task) and entity.instance is not None and holds_resources(entity):
                key = instance_key(entity.cluster, entity.instance)
                usage = self._usages.setdefault(key, InstanceUsage())
                usage.add(entity, sign)
                if not usage.tasks and not usage.cpu and not usage.memory:
                    del self._usages[key]
