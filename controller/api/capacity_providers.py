"""Capacity providers by name, and what strategies may ask of them. Pure but for the state that is read."""

from __future__ import annotations

from collections.abc import Sequence

from controller.api.errors import InvalidParameterException
from controller.state.entities import CapacityProvider, Document
from controller.state.indexes import LIVE_TASKS_BY_CLUSTER, SERVICES_BY_CLUSTER, TASK_SETS_OF_SERVICE
from controller.state.kernel import Reader

BUILT_IN = {name: CapacityProvider(name=name, created_at=0.0) for name in ("FARGATE", "FARGATE_SPOT")}
"""Providers that always exist. They are not made, changed or deleted, but they can have tags."""

MAX_STRATEGY_ITEMS = 20


def provider_name(read: Reader, value: str) -> str:
    """Name of the provider that a name or an ARN of ours means; it need not exist."""
    return value.removeprefix(read.names.capacity_provider(""))


def find_capacity_provider(read: Reader, value: str) -> CapacityProvider | None:
    """The provider that a name or an ARN means, INACTIVE ones too."""
    name = provider_name(read, value)
    return read.get(CapacityProvider, name) or BUILT_IN.get(name)


def active_provider(read: Reader, value: str) -> CapacityProvider:
    """The ACTIVE provider that a name or an ARN means.

    Raises:
        InvalidParameterException: there is none.
    """
    provider = find_capacity_provider(read, value)
    if provider is None or provider.status != "ACTIVE":
        raise InvalidParameterException(
            f"The specified capacity provider '{value}' was not found. "
            "Specify a valid name or ARN and try again."
        )
    return provider


def is_fargate(name: str) -> bool:
    """Whether a provider, by its name, is FARGATE or FARGATE_SPOT."""
    return name in BUILT_IN


def checked_strategy(read: Reader, strategy: Sequence[Document], associated: Sequence[str]) -> list[Document]:
    """A strategy over the providers that a cluster has, with names for ARNs, and base and weight filled.

    Raises:
        InvalidParameterException: it breaks one of ECS's rules.
    """
    if len(strategy) > MAX_STRATEGY_ITEMS:
        raise InvalidParameterException(
            f"A capacity provider strategy can contain a maximum of {MAX_STRATEGY_ITEMS} capacity providers."
        )
    items = [
        {
            "capacityProvider": provider_name(read, item["capacityProvider"]),
            "weight": item.get("weight", 0),
            "base": item.get("base", 0),
        }
        for item in strategy
    ]
    names = [item["capacityProvider"] for item in items]
    for name in names:
        if name not in associated:
            raise InvalidParameterException(
                "The specified capacity provider strategy cannot contain a capacity provider that is not "
                "associated with the cluster. Associate the capacity provider with the cluster and try again."
            )
        active_provider(read, name)
    if len(set(names)) != len(names):
        raise InvalidParameterException("A capacity provider can be in a strategy only once.")
    if len({is_fargate(name) for name in names}) > 1:
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a mix of capacity providers using Auto "
            "Scaling groups and Fargate. Specify one or the other and try again."
        )
    if sum(item["base"] > 0 for item in items) > 1:
        raise InvalidParameterException(
            "Only one capacity provider in a capacity provider strategy can have a base value defined."
        )
    if len(items) > 1 and not any(item["weight"] for item in items):
        raise InvalidParameterException(
            "When multiple capacity providers are specified within a capacity provider strategy, at least "
            "one of the capacity providers must have a weight value greater than zero."
        )
    return items


def providers_in_use(read: Reader, cluster: str) -> set[str]:
    """Names of the providers that services, their task sets and live tasks of a cluster use."""
    services = [
        item for item in read.select(SERVICES_BY_CLUSTER, cluster).values() if item.status != "INACTIVE"
    ]
    strategies = [service.options.get("capacityProviderStrategy", ()) for service in services]
    strategies += [
        task_set.settings.get("capacityProviderStrategy", ())
        for service in services
        for task_set in read.select(TASK_SETS_OF_SERVICE, service.key).values()
    ]
    used = {provider_name(read, item["capacityProvider"]) for items in strategies for item in items}
    for task in read.select(LIVE_TASKS_BY_CLUSTER, cluster).values():
        if name := task.options.get("capacityProviderName"):
            used.add(name)
    return used
