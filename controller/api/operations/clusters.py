"""Clusters: create, describe, list, update, delete."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from controller.api.account_settings import effective_setting
from controller.api.authentication import denied
from controller.api.capacity_providers import active_provider, checked_strategy, providers_in_use
from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    ClusterNotFoundException,
    InvalidParameterException,
    ResourceInUseException,
)
from controller.api.identifiers import DEFAULT_CLUSTER, cluster_name, missing, resolve_cluster
from controller.api.paging import page
from controller.api.render.cluster import DEFAULT_SETTINGS, render_cluster
from controller.api.tags import parse_tags
from controller.state.entities import Cluster, Document
from controller.state.indexes import INSTANCES_BY_CLUSTER, LIVE_TASKS_BY_CLUSTER, SERVICES_BY_CLUSTER

MAX_DESCRIBED = 100
CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
MAX_CAPACITY_PROVIDERS = 20
INSIGHTS = "containerInsights"
INSIGHTS_VALUES = ("enabled", "disabled", "enhanced")

EVERYTHING = ("ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "TAGS")
"""What answers to changes of a cluster show of it."""


def create_cluster(context: RequestContext, request: Document) -> Document:
    """Make a cluster. One that exists is answered unchanged, an INACTIVE one starts anew under its ARN."""
    name = request.get("clusterName") or DEFAULT_CLUSTER
    if context.caller.role == "agent" and name != DEFAULT_CLUSTER:
        raise denied(context.caller, "ecs:CreateCluster")
    if not CLUSTER_NAME.fullmatch(name):
        raise InvalidParameterException("Invalid cluster name")
    tags = parse_tags(request.get("tags"))
    options = _options(context, request)
    existing = context.read.get(Cluster, name)
    if existing is None or existing.status != "ACTIVE":
        with context.transaction() as transaction:
            existing = Cluster(name=name, created_at=transaction.now, tags=tags, options=options)
            transaction.put(existing, "created")
    return {"cluster": render_cluster(existing, context.read, EVERYTHING)}


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


def update_cluster(context: RequestContext, request: Document) -> Document:
    """Change settings, configuration and Service Connect defaults, each if it is given.

    An empty namespace takes the Service Connect defaults back.
    """
    cluster = resolve_cluster(context, request["cluster"])
    options = {**cluster.options, **_configured(request)}
    if "settings" in request:
        options["settings"] = _settings(_present_settings(cluster), request["settings"])
    if options.get("serviceConnectDefaults") == {"namespace": ""}:
        del options["serviceConnectDefaults"]
    return _change_options(context, cluster, options, "updated")


def update_cluster_settings(context: RequestContext, request: Document) -> Document:
    """Change settings; those that are not given stay."""
    cluster = resolve_cluster(context, request["cluster"])
    settings = _settings(_present_settings(cluster), request["settings"])
    return _change_options(context, cluster, {**cluster.options, "settings": settings}, "settings updated")


def put_cluster_capacity_providers(context: RequestContext, request: Document) -> Document:
    """Give a cluster the capacity providers and the default strategy that it has from now on.

    Raises:
        ResourceInUseException: a service or a task uses a provider that the cluster would lose.
    """
    cluster = resolve_cluster(context, request["cluster"])
    chosen = _capacity_options(context, request)
    kept = chosen.get("capacityProviders", ())
    lost = {name for name in cluster.options.get("capacityProviders", ()) if name not in kept}
    if lost & providers_in_use(context.read, cluster.name):
        raise ResourceInUseException
    before = {
        member: value
        for member, value in cluster.options.items()
        if member not in ("capacityProviders", "defaultCapacityProviderStrategy")
    }
    return _change_options(context, cluster, before | chosen, "capacity providers changed")


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
    with context.transaction() as transaction:
        inactive = replace(cluster, status="INACTIVE", deleted_at=transaction.now)
        transaction.put(inactive, "deleted")
    return {"cluster": render_cluster(inactive, read, EVERYTHING)}


def _present_settings(cluster: Cluster) -> list[Document]:
    settings: list[Document] = cluster.options.get("settings", DEFAULT_SETTINGS)
    return settings


def _find(context: RequestContext, value: str) -> Cluster | None:
    try:
        return context.read.get(Cluster, cluster_name(context, value))
    except ClusterNotFoundException:
        return None


def _change_options(context: RequestContext, cluster: Cluster, options: Document, why: str) -> Document:
    """Keep the options of a cluster if they are other ones, and show it."""
    if options != cluster.options:
        cluster = replace(cluster, options=options)
        with context.transaction() as transaction:
            transaction.put(cluster, why)
    return {"cluster": render_cluster(cluster, context.read, EVERYTHING)}


def _options(context: RequestContext, request: Document) -> Document:
    """What a new cluster keeps of the request."""
    insights = effective_setting(context.read, context.caller.arn, INSIGHTS).value
    options = {"settings": _settings([{"name": INSIGHTS, "value": insights}], request.get("settings", ()))}
    return options | _configured(request) | _capacity_options(context, request)


def _configured(request: Document) -> Document:
    """The configuration and the Service Connect defaults of a request, if it has them."""
    options: Document = {}
    if configuration := request.get("configuration"):
        command = configuration.get("executeCommandConfiguration", {})
        if command.get("logging") == "OVERRIDE" and not command.get("logConfiguration"):
            raise InvalidParameterException("logConfiguration is required when logging is OVERRIDE.")
        options["configuration"] = configuration
    if defaults := request.get("serviceConnectDefaults"):
        options["serviceConnectDefaults"] = {"namespace": defaults["namespace"]}
    return options


def _capacity_options(context: RequestContext, request: Document) -> Document:
    """The capacity providers and the default strategy of a request, checked; providers by their names."""
    given = request.get("capacityProviders", ())
    names = list(dict.fromkeys(active_provider(context.read, value).name for value in given))
    if len(names) > MAX_CAPACITY_PROVIDERS:
        raise InvalidParameterException(
            f"A cluster can have a maximum of {MAX_CAPACITY_PROVIDERS} capacity providers."
        )
    strategy = checked_strategy(context.read, request.get("defaultCapacityProviderStrategy", ()), names)
    options = {"capacityProviders": names, "defaultCapacityProviderStrategy": strategy}
    return {member: value for member, value in options.items() if value}


def _settings(before: Sequence[Document], given: Sequence[Document]) -> list[Document]:
    """Cluster settings with the given ones in place of those of the same name."""
    kept = {setting["name"]: setting for setting in before}
    for setting in given:
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
    "PutClusterCapacityProviders": put_cluster_capacity_providers,
    "UpdateCluster": update_cluster,
    "UpdateClusterSettings": update_cluster_settings,
}
