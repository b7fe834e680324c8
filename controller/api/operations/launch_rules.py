"""Rules that RunTask and the service operations share: launch type, platform, network, placement."""

from __future__ import annotations

import re

import msgspec

from controller.api.capacity_providers import checked_strategy
from controller.api.errors import InvalidParameterException, PlatformUnknownException
from controller.api.operations.usable_definitions import check_features, check_platform
from controller.scheduler.capacity import launch_type_of_strategy
from controller.scheduler.constraints import Constraints, InvalidConstraint, parse_constraints
from controller.scheduler.query import QuerySyntaxError
from controller.scheduler.strategies import InvalidStrategy, Strategy, parse_strategies
from controller.state.entities import Cluster, Document, TaskDefinition
from controller.state.kernel import Reader

DEFAULT_LAUNCH_TYPE = "EC2"
MAX_PLACEMENT_CONSTRAINTS = 10
MAX_PLACEMENT_STRATEGIES = 5

_PLATFORM_VERSION = re.compile(r"LATEST|1\.\d+\.\d+")


class Capacity(msgspec.Struct, frozen=True):
    """What tasks run on."""

    launch_type: str
    strategy: tuple[Document, ...] = ()
    """The capacity provider strategy, names for ARNs and numbers filled; empty where the launch type was
    chosen."""


def capacity_of(read: Reader, request: Document, cluster: Cluster) -> Capacity:
    """What a request asks for: its own launch type or strategy, else the cluster's default one, else EC2.

    Raises:
        InvalidParameterException: both a launch type and a strategy, a type that only a strategy gives, or a
            strategy that breaks a rule.
    """
    launch_type: str | None = request.get("launchType")
    if launch_type and request.get("capacityProviderStrategy"):
        raise InvalidParameterException(
            "Specify either Launch Type or Capacity Provider Strategy, but not both."
        )
    if launch_type == "MANAGED_INSTANCES":
        raise InvalidParameterException(
            "The launch type MANAGED_INSTANCES needs a capacity provider strategy. Use EC2 or EXTERNAL for "
            "the container instances of this cluster."
        )
    strategy = strategy_of(read, request, cluster)
    if launch_type is None and not strategy:
        strategy = tuple(cluster.options.get("defaultCapacityProviderStrategy", ()))
    if strategy:
        return Capacity(launch_type_of_strategy(strategy), strategy)
    return Capacity(launch_type or DEFAULT_LAUNCH_TYPE)


def strategy_of(read: Reader, request: Document, cluster: Cluster) -> tuple[Document, ...]:
    """The strategy of a request itself, checked.

    Raises:
        InvalidParameterException: it breaks a rule.
    """
    given = request.get("capacityProviderStrategy", ())
    return tuple(checked_strategy(read, given, cluster.options.get("capacityProviders", ())))


def check_launch_type(definition: TaskDefinition, launch_type: str, request: Document) -> None:
    """The definition is valid for the launch type, and nothing is asked that the type does not have.

    Raises:
        ClientException: the definition asks for what only AWS's own hosts have.
        InvalidParameterException: it is not, or something is.
        PlatformTaskDefinitionIncompatibilityException: the platform version lacks what the definition needs.
        PlatformUnknownException: the platform version is none.
    """
    check_features(definition)
    if launch_type not in definition.compatibilities:
        raise InvalidParameterException(f"Task definition does not support launch_type {launch_type}.")
    if launch_type == "FARGATE":
        for member, name in (("placementConstraints", "constraints"), ("placementStrategy", "strategies")):
            if request.get(member):
                raise InvalidParameterException(
                    f"Placement {name} are not supported with FARGATE launch type."
                )
        if not _PLATFORM_VERSION.fullmatch(request.get("platformVersion", "LATEST")):
            raise PlatformUnknownException
        check_platform(definition, request.get("platformVersion", "LATEST"))
    elif "platformVersion" in request:
        raise InvalidParameterException(
            f"The platform version must be null when specifying an {launch_type} launch type."
        )


def check_network(definition: TaskDefinition, network_configuration: Document | None) -> None:
    """A network configuration is given exactly where the network mode is awsvpc.

    Raises:
        InvalidParameterException: it is missing, incomplete or out of place.
    """
    vpc = (network_configuration or {}).get("awsvpcConfiguration")
    if definition.document.get("networkMode") != "awsvpc":
        if vpc is not None:
            raise InvalidParameterException(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )
        return
    if vpc is None:
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if not vpc["subnets"]:
        raise InvalidParameterException("subnets can not be empty.")


def placement_of(
    definition: TaskDefinition | None, request: Document
) -> tuple[Constraints, tuple[Strategy, ...]]:
    """Constraints of the definition, if there is one yet, and the request together, and the request's
    strategies.

    Raises:
        InvalidParameterException: too many, or one that ECS does not have.
    """
    constraints = [
        *(definition.document["placementConstraints"] if definition else ()),
        *request.get("placementConstraints", ()),
    ]
    strategies = request.get("placementStrategy", ())
    if len(constraints) > MAX_PLACEMENT_CONSTRAINTS:
        raise InvalidParameterException(
            f"The number of placement constraints is limited to {MAX_PLACEMENT_CONSTRAINTS}, those of the "
            "task definition included."
        )
    if len(strategies) > MAX_PLACEMENT_STRATEGIES:
        raise InvalidParameterException(
            f"The number of placement strategies is limited to {MAX_PLACEMENT_STRATEGIES}."
        )
    try:
        return parse_constraints(constraints), parse_strategies(strategies)
    except (InvalidConstraint, InvalidStrategy) as error:
        raise InvalidParameterException(str(error)) from error
    except QuerySyntaxError as error:
        raise InvalidParameterException(f"Invalid placement constraint expression: {error}") from error
