"""Capacity providers: create, describe, update, delete. FARGATE and FARGATE_SPOT always exist."""

from __future__ import annotations

import re

from msgspec.structs import replace

from controller.api.capacity_providers import BUILT_IN, find_capacity_provider, is_fargate, provider_name
from controller.api.context import Handler, RequestContext
from controller.api.errors import ClientException, InvalidParameterException, UnsupportedFeatureException
from controller.api.identifiers import missing, resolve_cluster
from controller.api.paging import page
from controller.api.render.capacity_provider import render_capacity_provider
from controller.api.tags import parse_tags
from controller.state.entities import CapacityProvider, Cluster, Document

MAX_DESCRIBED = 100
PAGE_SIZE = 10

_NAME = re.compile(r"(?!aws|ecs|fargate)[a-z0-9_-]{1,255}", re.IGNORECASE)
_MANAGED_SCALING_DEFAULTS = {
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10_000,
    "instanceWarmupPeriod": 300,
}
_DEFAULTS = {"managedTerminationProtection": "DISABLED", "managedDraining": "ENABLED"}


def create_capacity_provider(context: RequestContext, request: Document) -> Document:
    """Make a capacity provider of a group of machines. The name of a deleted one may be taken again.

    Raises:
        ClientException: the name or the group is taken.
        UnsupportedFeatureException: it would be one of AWS's managed instances.
    """
    name = request["name"]
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            "The specified capacity provider name is invalid. Up to 255 letters, numbers, underscores and "
            'hyphens are allowed, and the name cannot be prefixed with "aws", "ecs", or "fargate".'
        )
    group = _group(request)
    tags = parse_tags(request.get("tags"))
    existing = context.read.get(CapacityProvider, name)
    if existing is not None and existing.status == "ACTIVE":
        raise ClientException(
            "The specified capacity provider already exists. To change the configuration of an existing "
            "capacity provider, update the capacity provider."
        )
    _check_group_is_free(context, group["autoScalingGroupArn"])
    with context.transaction() as transaction:
        provider = CapacityProvider(
            name=name,
            auto_scaling_group_provider=_filled(_DEFAULTS, group),
            created_at=transaction.now,
            tags=tags,
        )
        transaction.put(provider, "created")
    return _answer(context, provider)


def describe_capacity_providers(context: RequestContext, request: Document) -> Document:
    """Describe the named providers, INACTIVE ones too, or all ACTIVE ones; of one cluster if it is named."""
    wanted = request.get("capacityProviders", ())
    if len(wanted) > MAX_DESCRIBED:
        raise InvalidParameterException(f"Capacity providers cannot exceed {MAX_DESCRIBED}.")
    providers, failures = _wanted(context, wanted) if wanted else (_all_active(context), [])
    if "cluster" in request:
        associated = resolve_cluster(context, request["cluster"]).options.get("capacityProviders", ())
        failures += [
            missing(context.read.names.capacity_provider(name))
            for name in providers
            if wanted and name not in associated
        ]
        providers = {name: provider for name, provider in providers.items() if name in associated}
    names, token = page(
        providers,
        request.get("nextToken"),
        request.get("maxResults"),
        default=PAGE_SIZE,
        maximum=PAGE_SIZE,
        operation="DescribeCapacityProviders",
    )
    with_tags = "TAGS" in request.get("include", ())
    answer: Document = {
        "capacityProviders": [
            render_capacity_provider(providers[name], context.read.names, with_tags=with_tags)
            for name in names
        ],
        "failures": [] if request.get("nextToken") else failures,
    }
    if token:
        answer["nextToken"] = token
    return answer


def update_capacity_provider(context: RequestContext, request: Document) -> Document:
    """Change how a provider's group is managed; members that are not given stay."""
    changes = _group(request)
    provider = _changeable(context, request["name"])
    group = _filled(provider.auto_scaling_group_provider, changes)
    provider = replace(provider, auto_scaling_group_provider=group, update_status="UPDATE_COMPLETE")
    with context.transaction() as transaction:
        transaction.put(provider, "updated")
    return _answer(context, provider)


def delete_capacity_provider(context: RequestContext, request: Document) -> Document:
    """Make a provider that no cluster has INACTIVE.

    Raises:
        ClientException: there is none, a cluster has it, or it is FARGATE or FARGATE_SPOT.
    """
    _refuse_cluster(request)
    provider = _changeable(context, request["capacityProvider"])
    for cluster in context.read.all(Cluster).values():
        if cluster.status == "ACTIVE" and provider.name in cluster.options.get("capacityProviders", ()):
            raise ClientException(
                "The capacity provider cannot be deleted because it is associated with cluster: "
                f"{cluster.name}. Remove the capacity provider from the cluster and try again."
            )
    with context.transaction() as transaction:
        provider = replace(
            provider, status="INACTIVE", update_status="DELETE_COMPLETE", deleted_at=transaction.now
        )
        transaction.put(provider, "deleted")
    return _answer(context, provider)


def _group(request: Document) -> Document:
    """The group that a request describes, refusing every other kind of capacity."""
    if "managedInstancesProvider" in request:
        raise UnsupportedFeatureException(
            "managedInstancesProvider is not available on this controller: AWS runs managed instances; use "
            "autoScalingGroupProvider, or let your machines join the cluster by themselves."
        )
    _refuse_cluster(request)
    group: Document | None = request.get("autoScalingGroupProvider")
    if group is None:
        raise InvalidParameterException("autoScalingGroupProvider can not be null.")
    if group.get("autoScalingGroupArn") == "":
        raise InvalidParameterException("autoScalingGroupArn can not be empty.")
    return group


def _refuse_cluster(request: Document) -> None:
    if "cluster" in request:
        raise InvalidParameterException(
            "A cluster can be specified for capacity providers of managed instances only."
        )


def _filled(before: Document, changes: Document) -> Document:
    """A group's settings after changes, defaults filled.

    Raises:
        ClientException: instances would be protected without managed scaling.
        InvalidParameterException: the least step would be larger than the largest.
    """
    group = {**before, **changes}
    scaling = before.get("managedScaling") or {
        # Off for a group that never mentions it, on for one that does so without a status.
        "status": "ENABLED" if "managedScaling" in changes else "DISABLED",
        **_MANAGED_SCALING_DEFAULTS,
    }
    scaling = {**scaling, **changes.get("managedScaling", {})}
    if scaling["minimumScalingStepSize"] > scaling["maximumScalingStepSize"]:
        raise InvalidParameterException(
            "minimumScalingStepSize can not be greater than maximumScalingStepSize."
        )
    if group["managedTerminationProtection"] == "ENABLED" and scaling["status"] != "ENABLED":
        raise ClientException(
            "The managed termination protection setting for the capacity provider is invalid. To enable "
            "managed termination protection for a capacity provider, managed scaling must be enabled."
        )
    return {**group, "managedScaling": scaling}


def _check_group_is_free(context: RequestContext, group: str) -> None:
    for provider in _all_active(context).values():
        if provider.auto_scaling_group_provider.get("autoScalingGroupArn") == group:
            raise ClientException(
                "The specified Auto Scaling group ARN is already being used by another capacity provider. "
                "Specify a unique Auto Scaling group ARN and try again."
            )


def _changeable(context: RequestContext, value: str) -> CapacityProvider:
    provider = find_capacity_provider(context.read, value)
    if provider is None or provider.status != "ACTIVE":
        raise ClientException(
            "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
        )
    if is_fargate(provider.name):
        raise ClientException(
            f"The capacity provider {provider.name} is reserved and cannot be changed or deleted."
        )
    return provider


def _wanted(context: RequestContext, values: list[str]) -> tuple[dict[str, CapacityProvider], list[Document]]:
    found, failures = {}, []
    for name in dict.fromkeys(provider_name(context.read, value) for value in values):
        provider = find_capacity_provider(context.read, name)
        if provider is not None:
            found[name] = provider
        else:
            arn = name if name.startswith("arn:") else context.read.names.capacity_provider(name)
            failures.append(missing(arn))
    return found, failures


def _all_active(context: RequestContext) -> dict[str, CapacityProvider]:
    providers = {**BUILT_IN, **context.read.all(CapacityProvider)}
    return {name: provider for name, provider in providers.items() if provider.status == "ACTIVE"}


def _answer(context: RequestContext, provider: CapacityProvider) -> Document:
    return {"capacityProvider": render_capacity_provider(provider, context.read.names, with_tags=True)}


OPERATIONS: dict[str, Handler] = {
    "CreateCapacityProvider": create_capacity_provider,
    "DeleteCapacityProvider": delete_capacity_provider,
    "DescribeCapacityProviders": describe_capacity_providers,
    "UpdateCapacityProvider": update_capacity_provider,
}
