"""ListServicesByNamespace."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import NamespaceNotFoundException
from controller.api.operations.services.listing import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE
from controller.api.paging import page
from controller.state.entities import Cluster, Document


def list_services_by_namespace(context: RequestContext, request: Document) -> Document:
    """No service is in a namespace: services with Service Connect are refused. A namespace exists while it is
    the default of a cluster."""
    namespace = request["namespace"]
    clusters = context.read.all(Cluster).values()
    if not any(_default_of(cluster) == namespace for cluster in clusters if cluster.status == "ACTIVE"):
        raise NamespaceNotFoundException
    names, _ = page(
        (),
        request.get("nextToken"),
        request.get("maxResults"),
        default=DEFAULT_PAGE_SIZE,
        maximum=LARGEST_PAGE_SIZE,
        operation="ListServicesByNamespace",
    )
    return {"serviceArns": names}


def _default_of(cluster: Cluster) -> str | None:
    defaults: Document = cluster.options.get("serviceConnectDefaults", {})
    return defaults.get("namespace")
