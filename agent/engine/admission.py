"""Who may use the host's CPU, memory, ports and GPUs: one queue, first come, first served. Pure.

The head of the queue blocks those behind it on purpose, or a large task would wait for ever behind small
ones. What a task holds is given back when its containers have really stopped. What others than this agent's
tasks hold counts as taken; but a task that waits for a port of theirs stands aside, since what those behind
it need is nothing to them.
"""

from collections import deque
from collections.abc import Iterator, Mapping

import msgspec

from agent.protocol.resources import Resources

Port = tuple[int, str]
"""A host port and its protocol, ``tcp`` or ``udp``."""

HAS_TO_WAIT_ITS_TURN = "waits for its turn behind tasks that came before it"


class Occupant(msgspec.Struct, frozen=True, gc=False):
    """Somebody else who has a host port."""

    everywhere: bool
    """On all of the host's addresses. On one of them alone it is no obstacle to a container in the host's
    own network, which may want another.
    """
    name: str = ""
    """In words for people; empty if nobody has found out."""


class Others(msgspec.Struct, frozen=True):
    """What processes and containers that are not this agent's leave of the host at the moment."""

    ports: Mapping[Port, Occupant] = {}
    """Every port that somebody listens on, this agent's tasks among them."""
    memory_mib: int | None = None
    """What could be used without swapping anything out; None: nobody knows, so that it does not count."""


NOBODY_ELSE = Others()


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a task asks for."""

    task_arn: str
    demand: Resources
    host_network: bool = False
    """A container of it lives in the host's own network."""


class Delay(msgspec.Struct, frozen=True, gc=False):
    """A task that waits, and for what."""

    task_arn: str
    reason: str
    of_others: Port | bool = False
    """What is lacking is held by others: which port, or True for memory."""


class _Lack(msgspec.Struct, frozen=True, gc=False):
    what: str
    of_others: Port | bool = False


class HostLedger:
    """What the tasks of this host hold and what they wait for."""

    def __init__(self, capacity: Resources) -> None:
        """``capacity`` is what tasks may have, but for its ports: those are the ones that no task may
        have.
        """
        self.capacity = capacity
        self._held: dict[str, Resources] = {}
        self._queue: deque[Request] = deque()

    def impossible(self, demand: Resources) -> str:
        """Why this host can never hold ``demand``; empty if it can."""
        for what, wanted, there in _amounts(demand, self.capacity):
            if wanted > there:
                return f"needs {wanted} {what}, the instance has {there}"
        missing = demand.gpu_ids - self.capacity.gpu_ids
        if missing and self.capacity.gpu_ids:
            return f"GPU {min(missing)} is not on the instance"
        for number, protocol in _ports(demand):
            if (number, protocol) in _ports(self.capacity):
                return f"host port {number} is reserved on the instance"
        return ""

    def hold(self, task_arn: str, demand: Resources) -> None:
        """Note what a task uses already, whether it fits or not."""
        self._held[task_arn] = demand

    def held(self) -> Mapping[str, Resources]:
        """What each task holds, by ARN."""
        return dict(self._held)

    def ask(self, request: Request) -> None:
        """Put a task at the end of the queue."""
        self._queue.append(request)

    def waiting(self) -> tuple[Request, ...]:
        """The queue, its head first."""
        return tuple(self._queue)

    def release(self, task_arn: str) -> None:
        """The task has ended, or waits no longer."""
        self._held.pop(task_arn, None)
        if any(request.task_arn == task_arn for request in self._queue):
            self._queue = deque(request for request in self._queue if request.task_arn != task_arn)

    def admit(self, others: Others = NOBODY_ELSE) -> tuple[str, ...]:
        """Take from the queue whatever fits, until one that does not; the tasks taken hold their share from
        now on.
        """
        admitted = []
        aside: deque[Request] = deque()
        while self._queue:
            request = self._queue[0]
            lack = self._lack(request, others)
            if lack is not None and not _stands_aside(lack):
                break
            self._queue.popleft()
            if lack is None:
                self._held[request.task_arn] = request.demand
                admitted.append(request.task_arn)
            else:
                aside.append(request)
        self._queue.extendleft(reversed(aside))
        return tuple(admitted)

    def delays(self, others: Others = NOBODY_ELSE) -> Iterator[Delay]:
        """Every task that waits, and why."""
        blocked = False
        for request in self._queue:
            lack = None if blocked else self._lack(request, others)
            if lack is None:
                yield Delay(request.task_arn, HAS_TO_WAIT_ITS_TURN)
            else:
                blocked = not _stands_aside(lack)
                yield Delay(request.task_arn, f"waits for {lack.what}", lack.of_others)

    def _lack(self, request: Request, others: Others) -> _Lack | None:
        """What is not free for a task now; None if everything is."""
        demand = request.demand
        holders = {port: task_arn for task_arn, held in self._held.items() for port in _ports(held)}
        # First what others hold: whoever waits for them stands aside, whatever else it lacks.
        for port in sorted(_ports(demand) - holders.keys()):
            occupant = others.ports.get(port)
            if occupant is not None and (occupant.everywhere or not request.host_network):
                by = occupant.name or "something that is not of this agent"
                return _Lack(f"host port {port[0]}/{port[1]}, held by {by}", port)
        for what, wanted, left in _amounts(demand, self._free()):
            if wanted > left:
                return _Lack(f"{wanted} {what} ({max(left, 0)} free)")
        for port in sorted(_ports(demand) & holders.keys()):
            return _Lack(f"host port {port[0]}/{port[1]}, held by task {holders[port]}")
        for task_arn, held in self._held.items():
            if gpus := demand.gpu_ids & held.gpu_ids:
                return _Lack(f"GPU {min(gpus)}, held by task {task_arn}")
        if others.memory_mib is not None and demand.memory > others.memory_mib:
            return _Lack(
                f"{demand.memory} MiB of memory, which are not reserved but in use on the host", True
            )
        return None

    def _free(self) -> Resources:
        held = self._held.values()
        return Resources(
            cpu=self.capacity.cpu - sum(each.cpu for each in held),
            memory=self.capacity.memory - sum(each.memory for each in held),
            ports_tcp=frozenset(),
            ports_udp=frozenset(),
            gpus=self.capacity.gpus - sum(each.gpus for each in held),
        )


def _stands_aside(lack: _Lack) -> bool:
    return isinstance(lack.of_others, tuple)


def _amounts(demand: Resources, there: Resources) -> tuple[tuple[str, int, int], ...]:
    return (
        ("CPU units", demand.cpu, there.cpu),
        ("MiB of memory", demand.memory, there.memory),
        ("GPUs", demand.gpus, there.gpus),
    )


def _ports(resources: Resources) -> frozenset[Port]:
    return frozenset(
        (
            *((number, "tcp") for number in resources.ports_tcp),
            *((number, "udp") for number in resources.ports_udp),
        )
    )
