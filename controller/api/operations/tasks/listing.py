"""ListTasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ServiceNotFoundException
from controller.api.identifiers import instance_id, resolve_cluster, service_name
from controller.api.paging import page
from controller.state.entities import Cluster, Document, Service, Task, instance_key, service_key
from controller.state.indexes import LIVE_TASKS_OF_SERVICE, TASKS_BY_CLUSTER, TASKS_ON_INSTANCE

PAGE_SIZE = 100

_EXCLUDED_BY_STARTED_BY = ("containerInstance", "family", "serviceName", "launchType", "daemonName")

Filter = Callable[[Task], bool]


def list_tasks(context: RequestContext, request: Document) -> Document:
    """ARNs of the tasks that pass every filter; those with desired status RUNNING if none is named."""
    cluster = resolve_cluster(context, request.get("cluster"))
    if "startedBy" in request and (others := [name for name in _EXCLUDED_BY_STARTED_BY if name in request]):
        raise InvalidParameterException(f"startedBy cannot be combined with the filter {others[0]}.")
    candidates, filters = _select(context, cluster, request)
    for passes in filters:
        candidates = filter(passes, candidates)
    ids, token = page(
        (task.id for task in candidates),
        request.get("nextToken"),
        request.get("maxResults"),
        default=PAGE_SIZE,
        maximum=PAGE_SIZE,
        operation="ListTasks",
    )
    answer: Document = {"taskArns": [context.read.names.task_id(cluster.name, id_) for id_ in ids]}
    if token is not None:
        answer["nextToken"] = token
    return answer


def _select(
    context: RequestContext, cluster: Cluster, request: Document
) -> tuple[Iterable[Task], list[Filter]]:
    """The smallest index that holds all wanted tasks, and what they must pass."""
    desired = request.get("desiredStatus", "RUNNING")
    read = context.read
    # Only tasks that should run are sure to be in the narrow indexes; ended ones have left them.
    narrow = desired == "RUNNING"
    candidates = read.select(TASKS_BY_CLUSTER, (cluster.name, desired)).values()
    filters: list[Filter] = []
    if "serviceName" in request:
        service = _service(context, cluster, request["serviceName"])
        filters.append(lambda task: task.service == service)
        if narrow:
            candidates = read.select(LIVE_TASKS_OF_SERVICE, service_key(cluster.name, service)).values()
            filters.append(_equals("desired_status", desired))
    if "containerInstance" in request:
        instance = instance_id(context, cluster, request["containerInstance"])
        filters.append(lambda task: task.instance == instance)
        if narrow:
            candidates = read.select(TASKS_ON_INSTANCE, instance_key(cluster.name, instance)).values()
            filters.append(_equals("desired_status", desired))
    for member, field in (("family", "family"), ("startedBy", "started_by"), ("launchType", "launch_type")):
        if member in request:
            filters.append(_equals(field, request[member]))
    if "daemonName" in request:
        # Managed daemons do not exist here, so none has tasks.
        return (), []
    return candidates, filters


def _equals(field: str, wanted: str) -> Filter:
    return lambda task: getattr(task, field) == wanted


def _service(context: RequestContext, cluster: Cluster, value: str) -> str:
    name = service_name(context, cluster, value)
    if context.read.get(Service, service_key(cluster.name, name)) is None:
        raise ServiceNotFoundException
    return name
