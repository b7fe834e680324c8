"""Which capacity provider each task of a strategy is for, and which instances are a provider's.

FARGATE and FARGATE_SPOT run on every instance of the cluster. An instance belongs to another provider by its
attribute `homeport.capacity-provider`, since what AWS knows of its Auto Scaling groups is known nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from controller.state.entities import ContainerInstance, Document

PROVIDER_ATTRIBUTE = "homeport.capacity-provider"
SHARED_PROVIDERS = ("FARGATE", "FARGATE_SPOT")


def launch_type_of_strategy(strategy: Sequence[Document]) -> str:
    """The launch type that tasks of a strategy have."""
    return "FARGATE" if strategy[0]["capacityProvider"] in SHARED_PROVIDERS else "EC2"


def distribute(strategy: Sequence[Document], present: Mapping[str, int], count: int) -> tuple[str, ...]:
    """Names of the providers that the next `count` tasks are for, in order.

    `present` are the tasks that each provider has already. The base comes first; after it each task goes to
    the provider with the fewest tasks beyond its base for its weight, the first of equals. A provider of
    weight 0 gets none beyond its base, unless it is the only one.
    """
    counts = Counter(present)
    names = []
    for _ in range(count):
        name = _next(strategy, counts)
        counts[name] += 1
        names.append(name)
    return tuple(names)


def _next(strategy: Sequence[Document], counts: Mapping[str, int]) -> str:
    for item in strategy:
        if counts[item["capacityProvider"]] < item.get("base", 0):
            return _name(item)
    weighted = [item for item in strategy if item.get("weight", 0)] or strategy[:1]
    return _name(min(weighted, key=lambda item: _load(item, counts)))


def _load(item: Document, counts: Mapping[str, int]) -> float:
    beyond: int = counts[item["capacityProvider"]] - item.get("base", 0)
    return beyond / (item.get("weight", 0) or 1)


def _name(item: Document) -> str:
    name: str = item["capacityProvider"]
    return name


def pools(names: Iterable[str]) -> dict[str, list[str]]:
    """Providers of tasks by the pool of instances that they run on: the shared one is the empty name."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault("" if name in SHARED_PROVIDERS else name, []).append(name)
    return found


def provider_of(instance: ContainerInstance) -> str:
    """Name of the provider that an instance belongs to; empty for none."""
    return next((item.value or "" for item in instance.attributes if item.name == PROVIDER_ATTRIBUTE), "")


def is_in_pool(instance: ContainerInstance, pool: str) -> bool:
    """Whether an instance may run tasks of a pool."""
    return not pool or provider_of(instance) == pool
