"""Who may use the host's CPU, memory, ports and GPUs: one queue, first come, first served.

The head of the queue blocks those behind it on purpose, or a large task would wait for ever behind small
ones. What a task holds is given back when its containers have really stopped.
"""

from collections import deque
from collections.abc import Iterator

import msgspec

from agent.protocol.resources import Resources


class Delay(msgspec.Struct, frozen=True, gc=False):
    """A task that waits, and for what."""

    task_arn: str
    reason: str


class HostLedger:
    """What the tasks of this host hold and what they wait for."""

    def __init__(self, capacity: Resources) -> None:
        """``capacity`` is what tasks may have, but for its ports: those are the ones that no task may
        have.
        """
        self._capacity = capacity
        self._held: dict[str, Resources] = {}
        self._queue: deque[tuple[str, Resources]] = deque()

    def impossible(self, demand: Resources) -> str:
        """Why this host can never hold ``demand``; empty if it can."""
        for what, wanted, there in self._amounts(demand, self._capacity):
            if wanted > there:
                return f"needs {wanted} {what}, the instance has {there}"
        taken = (demand.ports_tcp & self._capacity.ports_tcp) | (demand.ports_udp & self._capacity.ports_udp)
        return f"host port {min(taken)} is reserved on the instance" if taken else ""

    def hold(self, task_arn: str, demand: Resources) -> None:
        """Note what a task uses already, whether it fits or not."""
        self._held[task_arn] = demand

    def ask(self, task_arn: str, demand: Resources) -> None:
        """Put a task at the end of the queue."""
        self._queue.append((task_arn, demand))

    def release(self, task_arn: str) -> None:
        """The task has ended, or waits no longer."""
        self._held.pop(task_arn, None)
        if any(waiting == task_arn for waiting, _ in self._queue):
            self._queue = deque(entry for entry in self._queue if entry[0] != task_arn)

    def admit(self) -> tuple[str, ...]:
        """Take from the head of the queue whatever fits; the tasks taken hold their share from now on."""
        admitted = []
        while self._queue and not self._lacking(self._queue[0][1]):
            task_arn, demand = self._queue.popleft()
            self._held[task_arn] = demand
            admitted.append(task_arn)
        return tuple(admitted)

    def delays(self) -> Iterator[Delay]:
        """Every task that waits, and why."""
        for position, (task_arn, demand) in enumerate(self._queue):
            if position == 0:
                yield Delay(task_arn, f"waits for {self._lacking(demand)}")
            else:
                yield Delay(task_arn, f"waits behind task {self._queue[0][0]}")

    def _lacking(self, demand: Resources) -> str:
        """What is not free for ``demand`` now; empty if everything is."""
        free = self._free()
        for what, wanted, left in self._amounts(demand, free):
            if wanted > left:
                return f"{wanted} {what} ({max(left, 0)} free)"
        for protocol, wanted_ports, used in (
            ("tcp", demand.ports_tcp, self._used_ports("tcp")),
            ("udp", demand.ports_udp, self._used_ports("udp")),
        ):
            if wanted_ports & used:
                return f"host port {min(wanted_ports & used)}/{protocol}"
        return ""

    def _free(self) -> Resources:
        held = self._held.values()
        return Resources(
            cpu=self._capacity.cpu - sum(each.cpu for each in held),
            memory=self._capacity.memory - sum(each.memory for each in held),
            ports_tcp=frozenset(),
            ports_udp=frozenset(),
            gpus=self._capacity.gpus - sum(each.gpus for each in held),
        )

    def _used_ports(self, protocol: str) -> frozenset[int]:
        held = (e.ports_tcp if protocol == "tcp" else e.ports_udp for e in self._held.values())
        return frozenset().union(*held)

    @staticmethod
    def _amounts(demand: Resources, there: Resources) -> tuple[tuple[str, int, int], ...]:
        return (
            ("CPU units", demand.cpu, there.cpu),
            ("MiB of memory", demand.memory, there.memory),
            ("GPUs", demand.gpus, there.gpus),
        )
