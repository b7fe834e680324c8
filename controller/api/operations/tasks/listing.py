"""ListTasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ServiceNotFoundException
from controller.api.identifiers import instance_id, resolve_cluster, service_name
from controller.api.paging import last_key, page
from controller.state.entities import Cluster, Document, Service, Task, instance_key, service_key
from controller.state.indexes import LIVE_TASKS_OF_SERVICE, TASKS_BY_CLUSTER, TASKS_ON_INSTANCE

PAGE_SIZE = 100
OPERATION = "ListTasks"
BATCH = 500
"""Retired tasks that are read from the history at once."""
MAX_READ = 5000
"""Retired tasks that are read for one page at most; a page that they do not fill is shorter."""

_EXCLUDED_BY_STARTED_BY = ("containerInstance", "family", "serviceName", "launchType", "daemonName")

Filter = Callable[[Task], bool]


async def list_tasks(context: RequestContext, request: Document) -> Document:
    """ARNs of the tasks that pass every filter; those with desired status RUNNING if none is named.

    STOPPED ones are listed for as long as the history keeps them.
    """
    cluster = resolve_cluster(context, request.get("cluster"))
    if "startedBy" in request and (others := [name for name in _EXCLUDED_BY_STARTED_BY if name in request]):
        raise InvalidParameterException(f"startedBy cannot be combined with the filter {others[0]}.")
    candidates, filters = _select(context, cluster, request)
    found = {task.id for task in candidates if all(passes(task) for passes in filters)}
    read_up_to = None
    if request.get("desiredStatus") == "STOPPED" and "daemonName" not in request:
        # Read after the state: what retires meanwhile is in one of the two.
        retired, read_up_to = await _retired(context, cluster, request, filters)
        found |= retired
        if read_up_to is not None:
            found = {id_ for id_ in found if id_ <= read_up_to}
    ids, token = page(
        found,
        request.get("nextToken"),
        request.get("maxResults"),
        default=PAGE_SIZE,
        maximum=PAGE_SIZE,
        operation=OPERATION,
        known_up_to=read_up_to,
    )
    answer: Document = {"taskArns": [context.read.names.task_id(cluster.name, id_) for id_ in ids]}
    if token is not None:
        answer["nextToken"] = token
    return answer


async def _retired(
    context: RequestContext, cluster: Cluster, request: Document, filters: list[Filter]
) -> tuple[set[str], str | None]:
    """Ids of retired tasks that pass every filter, enough for one page; and the id up to which the history
    was read, None if to its end."""
    after = last_key(request["nextToken"], OPERATION) if request.get("nextToken") else ""
    found: set[str] = set()
    for _ in range(MAX_READ // BATCH):
        tasks = await context.state.history.ended_tasks(cluster.name, after, BATCH)
        found |= {task.id for task in tasks if all(passes(task) for passes in filters)}
        if len(tasks) < BATCH:
            return found, None
        after = tasks[-1].id
        if len(found) > PAGE_SIZE:
            break
    return found, after


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
