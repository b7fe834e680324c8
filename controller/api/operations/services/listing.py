"""ListServices."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.identifiers import resolve_cluster
from controller.api.paging import page
from controller.api.render.task_set import task_sets_of
from controller.services.task_sets import is_external
from controller.state.entities import Document, Service
from controller.state.indexes import SERVICES_BY_CLUSTER
from controller.state.kernel import Reader

DEFAULT_PAGE_SIZE = 10
LARGEST_PAGE_SIZE = 100

_MANAGED_BY_CUSTOMERS = "CUSTOMER"


def list_services(context: RequestContext, request: Document) -> Document:
    """ARNs of the ACTIVE services that pass every filter."""
    cluster = resolve_cluster(context, request.get("cluster"))
    services = context.read.select(SERVICES_BY_CLUSTER, cluster.name).values()
    names, token = page(
        (service.name for service in services if _passes(service, request, context.read)),
        request.get("nextToken"),
        request.get("maxResults"),
        default=DEFAULT_PAGE_SIZE,
        maximum=LARGEST_PAGE_SIZE,
        operation="ListServices",
    )
    answer: Document = {
        "serviceArns": [context.read.names.service_name(cluster.name, name) for name in names]
    }
    if token is not None:
        answer["nextToken"] = token
    return answer


def _passes(service: Service, request: Document, read: Reader) -> bool:
    return (
        service.status == "ACTIVE"
        and ("launchType" not in request or request["launchType"] == _launch_type(service, read))
        and request.get("schedulingStrategy", service.scheduling_strategy) == service.scheduling_strategy
        and request.get("resourceManagementType", _MANAGED_BY_CUSTOMERS) == _MANAGED_BY_CUSTOMERS
    )


def _launch_type(service: Service, read: Reader) -> str | None:
    """The launch type that a service shows; with task sets that of the PRIMARY one, None without one."""
    if not is_external(service):
        return service.launch_type
    primary = (item for item in task_sets_of(service, read) if item.status == "PRIMARY")
    return next((str(item.settings["launchType"]) for item in primary), None)
