"""Clusters: create, describe, list, delete."""

from __future__ import annotations

import re

from msgspec.structs import replace

from controller.api.authentication import denied
from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    ClusterNotFoundException,
    InvalidParameterException,
)
from controller.api.identifiers import DEFAULT_CLUSTER, cluster_name, missing, resolve_cluster
from controller.api.paging import page
from controller.api.render.cluster import DEFAULT_SETTINGS, render_cluster
from controller.api.tags import parse_tags
from controller.state.entities import Cluster, Document
from controller.state.indexes import INSTANCES_BY_CLUSTER, LIVE_TASKS_BY_CLUSTER, SERVICES_BY_CLUSTER

MAX_DESCRIBED = 100
CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
BUILT_IN_CAPACITY_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
INSIGHTS_VALUES = ("enabled", "disabled", "enhanced")

_KEPT_MEMBERS = ("configuration", "capacityProviders", "defaultCapacityProviderStrategy")


def create_cluster(context: RequestContext, request: Document) -> Document:
    """Make a cluster. One that exists is answered unchanged, an INACTIVE one starts anew under its ARN."""
    name = request.get("clusterName") or DEFAULT_CLUSTER
    if context.caller.role == "agent" and name != DEFAULT_CLUSTER:
        raise denied(context.caller, "ecs:CreateCluster")
    if not CLUSTER_NAME.fullmatch(name):
        raise InvalidParameterException("Invalid cluster name")
    tags = parse_tags(request.get("tags"))
    options = _options(request)
    existing = context.read.get(Cluster, name)
    if existing is None or existing.status != "ACTIVE":
        with context.transaction() as transaction:
            existing = Cluster(name=name, created_at=transaction.now, tags=tags, options=options)
            transaction.put(existing, "created")
    return {"cluster": render_cluster(existing, context.read, ("CONFIGURATIONS", "SETTINGS", "TAGS"))}


def describe_clusters(context: RequestContext, request: Document) -> Document:
    """Describe clusters, `default` if none is named; INACTIVE ones too."""
    wanted = request.get("clusters") or [DEFAULT_CLUSTER]
    if len(wanted) > MAX_DESCRIBED:
        raise InvalidParameterException(f"Clusters cannot exceed {MAX_DESCRIBED}.")
    clusters, failures = [], []
    for value in dict.fromkeys(wanted):
        cluster = _find(context, value)
        if cluster is None:
            arn = value if value.startswith("arn:") else context.read.names.cluster(value)
            failures.append(missing(arn))
        else:
            clusters.append(render_cluster(cluster, context.read, request.get("include", ())))
    return {"clusters": clusters, "failures": failures}


def list_clusters(context: RequestContext, request: Document) -> Document:
    """ARNs of the ACTIVE clusters."""
    clusters = context.read.all(Cluster).values()
    names, token = page(
        (cluster.name for cluster in clusters if cluster.status == "ACTIVE"),
        request.get("nextToken"),
        request.get("maxResults"),
        default=100,
        maximum=100,
        operation="ListClusters",
    )
    answer: Document = {"clusterArns": [context.read.names.cluster(name) for name in names]}
    if token:
        answer["nextToken"] = token
    return answer


def delete_cluster(context: RequestContext, request: Document) -> Document:
    """Make an empty cluster INACTIVE."""
    cluster = resolve_cluster(context, request["cluster"])
    read = context.read
    services = read.select(SERVICES_BY_CLUSTER, cluster.name).values()
    if any(service.status != "INACTIVE" for service in services):
        raise ClusterContainsServicesException
    instances = read.select(INSTANCES_BY_CLUSTER, cluster.name).values()
    if any(instance.status != "INACTIVE" for instance in instances):
        raise ClusterContainsContainerInstancesException
    if read.select(LIVE_TASKS_BY_CLUSTER, cluster.name):
        raise ClusterContainsTasksException
    inactive = replace(cluster, status="INACTIVE")
    with context.transaction() as transaction:
        transaction.put(inactive, "deleted")
    return {"cluster": render_cluster(inactive, read, ("CONFIGURATIONS", "SETTINGS", "TAGS"))}


def _find(context: RequestContext, value: str) -> Cluster | None:
    try:
        return context.read.get(Cluster, cluster_name(context, value))
    except ClusterNotFoundException:
        return None


def _options(request: Document) -> Document:
    options = {name: request[name] for name in _KEPT_MEMBERS if request.get(name)}
    if defaults := request.get("serviceConnectDefaults"):
        options["serviceConnectDefaults"] = {"namespace": defaults["namespace"]}
    if settings := request.get("settings"):
        options["settings"] = _settings(settings)
    providers = options.get("capacityProviders", [])
    for provider in providers:
        if provider not in BUILT_IN_CAPACITY_PROVIDERS:
            raise InvalidParameterException(
                f"The specified capacity provider '{provider}' was not found. "
                "Specify a valid name or ARN and try again."
            )
    for item in options.get("defaultCapacityProviderStrategy", ()):
        if item["capacityProvider"] not in providers:
            raise InvalidParameterException(
                "The specified capacity provider strategy cannot contain a capacity provider that is not "
                "associated with the cluster. Associate the capacity provider with the cluster and try again."
            )
    return options


def _settings(settings: list[Document]) -> list[Document]:
    kept = {setting["name"]: setting for setting in DEFAULT_SETTINGS}
    for setting in settings:
        name, value = setting.get("name"), setting.get("value")
        if name is None:
            raise InvalidParameterException("Setting name can not be null.")
        if value not in INSIGHTS_VALUES:
            raise InvalidParameterException(f"{name} should be one of [{','.join(INSIGHTS_VALUES)}]")
        kept[name] = {"name": name, "value": value}
    return list(kept.values())


OPERATIONS: dict[str, Handler] = {
    "CreateCluster": create_cluster,
    "DeleteCluster": delete_cluster,
    "DescribeClusters": describe_clusters,
    "ListClusters": list_clusters,
}
