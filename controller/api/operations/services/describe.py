"""DescribeServices."""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import missing, resolve_cluster, service_name
from controller.api.render.service import render_service
from controller.services.events import EVENT_KIND, ServiceEvent, decode_event, service_object
from controller.state.entities import Document, Service, service_key

MAX_DESCRIBED = 10
MAX_EVENTS = 100


async def describe_services(context: RequestContext, request: Document) -> Document:
    """Services in the order in which they were named, each once, INACTIVE ones too."""
    cluster = resolve_cluster(context, request.get("cluster"))
    if not request["services"]:
        raise InvalidParameterException("Services cannot be empty.")
    if len(request["services"]) > MAX_DESCRIBED:
        raise InvalidParameterException(f"Services cannot exceed {MAX_DESCRIBED} items.")
    with_tags = "TAGS" in request.get("include", ())
    names = list(dict.fromkeys(service_name(context, cluster, value) for value in request["services"]))
    # All that waits comes first, so that what is shown of the services belongs to one moment.
    events = {name: await _events(context, cluster.name, name) for name in names}
    services, failures = [], []
    for name in names:
        service = context.read.get(Service, service_key(cluster.name, name))
        if service is None:
            failures.append(missing(context.read.names.service_name(cluster.name, name)))
        else:
            own = [event for event in events[name] if event.created_at >= service.created_at]
            services.append(render_service(service, context.read, own, with_tags=with_tags))
    return {"services": services, "failures": failures}


async def _events(context: RequestContext, cluster: str, name: str) -> list[ServiceEvent]:
    """The newest events under a service's name, those of an earlier service of this name among them."""
    if context.read.get(Service, service_key(cluster, name)) is None:
        return []
    subject = service_object(service_key(cluster, name))
    lines = await context.state.history.recent(subject, EVENT_KIND, MAX_EVENTS)
    return [decode_event(line.body) for line in lines]
