"""Container instances as a plan sees them: what is left of each while tasks are put on it, and what it
lacks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from controller.scheduler.constraints import UNCONSTRAINED, Constraints
from controller.scheduler.demand import Demand
from controller.scheduler.query import Expression, InstanceFacts, matches
from controller.scheduler.strategies import Strategy
from controller.state.entities import ContainerInstance
from controller.state.usage import InstanceUsage


class Candidate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A container instance that is asked whether it has room."""

    instance: ContainerInstance
    usage: InstanceUsage
    connected: bool
    """Whether its agent is connected and has told what it runs: a returning host takes nothing before
    that."""
    full_disk: str = ""
    """Its disk in words, when that is too full for further tasks."""
    group_tasks: int = 0
    """Tasks of the request's group on it whose desired status is RUNNING: ECS lets a stopping one make
    room."""
    total_tasks: int = 0
    """All tasks that hold resources on it."""
    groups: frozenset[str] = frozenset()
    """Groups with tasks on it; filled in only where a constraint asks for them."""


class PlacementRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`count` equal tasks that need a place."""

    demand: Demand
    group: str
    """`service:NAME`, or a standalone task's group."""
    constraints: Constraints = UNCONSTRAINED
    strategies: tuple[Strategy, ...] = ()
    """Empty for ECS's default: over zones, then where fewest tasks of the group are."""
    count: int = 1


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why one instance did not get a task."""

    instance_id: str
    reason: str
    """ECS's word for it, as in `failures[].reason`."""
    detail: str
    """Our arithmetic, as in `failures[].detail`."""
    passed: int
    """How many filters the instance passed before this one."""
    shortage: float
    """Share of the demand that is missing, from 0 to 1; tells near misses from hopeless ones."""


class Seat:
    """One candidate while a plan is made: what it has left after the plan's own placements."""

    __slots__ = (
        "_placed",
        "_tests",
        "candidate",
        "cpu",
        "gpus",
        "group_tasks",
        "id",
        "memory",
        "request",
        "total_tasks",
    )

    def __init__(
        self, candidate: Candidate, request: PlacementRequest, tests: tuple[Callable[[Seat], bool], ...]
    ) -> None:
        """`tests` are those of `tests_of(request)`, which all seats of a plan share."""
        instance, usage = candidate.instance, candidate.usage
        self.id = instance.id
        self.candidate = candidate
        self.request = request
        self.cpu = instance.cpu - usage.cpu
        self.memory = instance.memory - usage.memory
        self.gpus = len(instance.gpu_ids) - len(usage.gpu_ids)
        self.group_tasks = candidate.group_tasks
        self.total_tasks = candidate.total_tasks
        self._placed = 0
        self._tests = tests

    def place(self) -> None:
        """Put one of the request's tasks here."""
        demand = self.request.demand
        self.cpu -= demand.cpu
        self.memory -= demand.memory
        self.gpus -= self.gpus if demand.all_gpus else demand.gpus
        self.group_tasks += 1
        self.total_tasks += 1
        self._placed += 1

    def taken(self, wanted: tuple[int, ...], reserved: Collection[int], used: Collection[int]) -> list[int]:
        """Which of the wanted host ports are taken, by this plan's own tasks as well."""
        return [port for port in wanted if self._placed or port in used or port in reserved]

    @property
    def facts(self) -> InstanceFacts:
        """What memberOf expressions see."""
        candidate = self.candidate
        groups = candidate.groups | {self.request.group} if self._placed else candidate.groups
        return InstanceFacts(candidate.instance, candidate.connected, candidate.usage.running, groups)

    def fits(self) -> bool:
        """Whether one more of the request's tasks may be put here."""
        for passes in self._tests:  # noqa: SIM110  # a generator would take longer than the tests
            if not passes(self):
                return False
        return True

    def refusal(self) -> Refusal | None:
        """Why no further task may be put here; None if one may."""
        for passed, filter_ in enumerate(FILTERS):
            if not filter_.passes(self):
                reason, detail, shortage = filter_.explain(self)
                return Refusal(self.id, reason, detail, passed, shortage)
        return None


def _always(_request: PlacementRequest) -> bool:
    return True


class Filter(msgspec.Struct, frozen=True):
    """One reason to refuse: the test, and its reason, detail and shortage once it has failed."""

    passes: Callable[[Seat], bool]
    explain: Callable[[Seat], tuple[str, str, float]]
    concerns: Callable[[PlacementRequest], bool] = _always
    """Whether a request asks for what is tested: if not, every seat passes."""


def _is_active(seat: Seat) -> bool:
    return seat.candidate.instance.status == "ACTIVE"


def _not_active(seat: Seat) -> tuple[str, str, float]:
    status = seat.candidate.instance.status
    return status, f"is {status}", 1.0


def _takes_tasks(seat: Seat) -> bool:
    return seat.candidate.connected and not seat.candidate.full_disk


def _takes_none(seat: Seat) -> tuple[str, str, float]:
    if seat.candidate.connected:
        return "RESOURCE:DISK", seat.candidate.full_disk, 1.0
    return "AGENT", "its agent is not connected, or has not told its tasks yet", 1.0


def _asks_for_attributes(request: PlacementRequest) -> bool:
    return bool(request.demand.required_attributes or request.demand.platform)


def _has_attributes(seat: Seat) -> bool:
    return not _missing_attributes(seat)


def has_attributes(instance: ContainerInstance, demand: Demand) -> bool:
    """Whether an instance has the attributes that a task demands."""
    return not _attributes_lacking(instance, demand)


def _missing_attributes(seat: Seat) -> list[str]:
    return _attributes_lacking(seat.candidate.instance, seat.request.demand)


def _attributes_lacking(instance: ContainerInstance, demand: Demand) -> list[str]:
    present = {attribute.name: attribute.value for attribute in instance.attributes}
    missing = [name for name in demand.required_attributes if name not in present]
    for attribute in demand.platform:
        if present.get(attribute.name, attribute.value) != attribute.value:
            missing.append(f"{attribute.name}={attribute.value}")
    return missing


def _lacks_attributes(seat: Seat) -> tuple[str, str, float]:
    missing = _missing_attributes(seat)
    return "ATTRIBUTE", f"lacks {', '.join(missing)}", _share(len(missing), len(missing) + 1)


def _has_cpu(seat: Seat) -> bool:
    return seat.cpu >= seat.request.demand.cpu


def _lacks_cpu(seat: Seat) -> tuple[str, str, float]:
    needed, free = seat.request.demand.cpu, max(0, seat.cpu)
    return "RESOURCE:CPU", f"needs {needed} CPU units, has {free} free", _share(needed - free, needed)


def _has_memory(seat: Seat) -> bool:
    return seat.memory >= seat.request.demand.memory


def _lacks_memory(seat: Seat) -> tuple[str, str, float]:
    needed, free = seat.request.demand.memory, max(0, seat.memory)
    return "RESOURCE:MEMORY", f"needs {needed} MiB, has {free} free", _share(needed - free, needed)


def _taken_tcp(seat: Seat) -> list[int]:
    candidate = seat.candidate
    return seat.taken(
        seat.request.demand.ports_tcp, candidate.instance.reserved_ports_tcp, candidate.usage.ports_tcp
    )


def _lacks_tcp(seat: Seat) -> tuple[str, str, float]:
    taken = _taken_tcp(seat)
    return (
        "RESOURCE:PORTS",
        f"TCP port {_listed(taken)} is taken",
        _share(len(taken), len(seat.request.demand.ports_tcp)),
    )


def _taken_udp(seat: Seat) -> list[int]:
    candidate = seat.candidate
    return seat.taken(
        seat.request.demand.ports_udp, candidate.instance.reserved_ports_udp, candidate.usage.ports_udp
    )


def _lacks_udp(seat: Seat) -> tuple[str, str, float]:
    taken = _taken_udp(seat)
    return (
        "RESOURCE:PORTS_UDP",
        f"UDP port {_listed(taken)} is taken",
        _share(len(taken), len(seat.request.demand.ports_udp)),
    )


def _asks_for_gpus(request: PlacementRequest) -> bool:
    return bool(request.demand.gpus or request.demand.all_gpus)


def _has_gpus(seat: Seat) -> bool:
    demand = seat.request.demand
    wanted = max(1, len(seat.candidate.instance.gpu_ids)) if demand.all_gpus else demand.gpus
    return seat.gpus >= wanted


def _lacks_gpus(seat: Seat) -> tuple[str, str, float]:
    needed = "all GPUs" if seat.request.demand.all_gpus else f"{seat.request.demand.gpus} GPUs"
    return (
        "RESOURCE:GPU",
        f"needs {needed}, has {max(0, seat.gpus)} of {len(seat.candidate.instance.gpu_ids)} free",
        1.0,
    )


def _is_distinct(seat: Seat) -> bool:
    return not (seat.request.constraints.distinct_instance and seat.group_tasks)


def _not_distinct(seat: Seat) -> tuple[str, str, float]:
    return (
        "DistinctInstance placement constraint unsatisfied.",
        f"runs a task of {seat.request.group} already",
        1.0,
    )


def _is_member(seat: Seat) -> bool:
    members = seat.request.constraints.members
    if not members:
        return True
    return is_member(seat.facts, members)


def is_member(facts: InstanceFacts, members: Iterable[Expression]) -> bool:
    """Whether an instance matches every memberOf expression."""
    return all(matches(expression, facts) for expression in members)


def _not_member(_seat: Seat) -> tuple[str, str, float]:
    return "MemberOf placement constraint unsatisfied.", "does not match the memberOf expression", 1.0


FILTERS: tuple[Filter, ...] = (
    Filter(_is_active, _not_active),
    Filter(_takes_tasks, _takes_none),
    Filter(_has_attributes, _lacks_attributes, _asks_for_attributes),
    Filter(_has_cpu, _lacks_cpu),
    Filter(_has_memory, _lacks_memory),
    Filter(lambda seat: not _taken_tcp(seat), _lacks_tcp, lambda request: bool(request.demand.ports_tcp)),
    Filter(lambda seat: not _taken_udp(seat), _lacks_udp, lambda request: bool(request.demand.ports_udp)),
    Filter(_has_gpus, _lacks_gpus, _asks_for_gpus),
    Filter(_is_distinct, _not_distinct, lambda request: request.constraints.distinct_instance),
    Filter(_is_member, _not_member, lambda request: bool(request.constraints.members)),
)
"""The reasons to refuse, in the order in which they are looked at: resources and attributes, then
constraints."""


def tests_of(request: PlacementRequest) -> tuple[Callable[[Seat], bool], ...]:
    """The tests that can refuse a seat to a request, in the order of the filters."""
    return tuple(filter_.passes for filter_ in FILTERS if filter_.concerns(request))


def _share(missing: int, needed: int) -> float:
    return missing / needed if needed else 1.0


def _listed(ports: list[int]) -> str:
    return ", ".join(str(port) for port in ports)
