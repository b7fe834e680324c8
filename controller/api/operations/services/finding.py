"""The service that a request names."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import ServiceNotActiveException, ServiceNotFoundException
from controller.api.identifiers import resolve_cluster, service_name
from controller.state.entities import Document, Service, service_key


def named_service(context: RequestContext, request: Document) -> Service:
    """The service of a request's `cluster` and `service`, whatever its status.

    Raises:
        ServiceNotFoundException: there is none.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    name = service_name(context, cluster, request["service"])
    service = context.read.get(Service, service_key(cluster.name, name))
    if service is None:
        raise ServiceNotFoundException
    return service


def active_service(context: RequestContext, request: Document) -> Service:
    """The ACTIVE service of a request.

    Raises:
        ServiceNotFoundException: there is none.
        ServiceNotActiveException: it is DRAINING or INACTIVE.
    """
    service = named_service(context, request)
    if service.status != "ACTIVE":
        raise ServiceNotActiveException
    return service
