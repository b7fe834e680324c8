"""GetTaskProtection and UpdateTaskProtection."""

from __future__ import annotations

from msgspec.structs import replace

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import missing, resolve_cluster, task_id
from controller.services.task_sets import computed_desired_count, is_external
from controller.state.entities import (
    Cluster,
    Document,
    Service,
    Task,
    TaskSet,
    service_key,
    task_key,
    task_set_key,
)
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE, LIVE_TASKS_OF_SERVICE, PROTECTED_TASKS
from controller.state.kernel import Reader
from controller.state.lifecycle import is_running

MAX_SHOWN = 100
MAX_UPDATED = 10
MINUTES = range(1, 2881)
DEFAULT_MINUTES = 120


def get_task_protection(context: RequestContext, request: Document) -> Document:
    """Whether tasks of services are protected, and until when; without names, the cluster's protected
    tasks."""
    cluster = resolve_cluster(context, request["cluster"])
    protected, failures = [], []
    for id_ in _ids(context, cluster, request.get("tasks"), MAX_SHOWN):
        task = context.read.get(Task, task_key(cluster.name, id_))
        failure = _failure(context.read, cluster, id_, task)
        if failure is not None:
            failures.append(failure)
        elif task is not None:
            protected.append(_render(context.read, task))
    return {"protectedTasks": protected, "failures": failures}


def update_task_protection(context: RequestContext, request: Document) -> Document:
    """Protect RUNNING tasks of services from scaling in and deployments for a time, or no longer."""
    cluster = resolve_cluster(context, request["cluster"])
    minutes = request.get("expiresInMinutes", DEFAULT_MINUTES)
    if minutes not in MINUTES:
        raise InvalidParameterException("expiresInMinutes should be between 1 and 2880.")
    enabled = request["protectionEnabled"]
    protected, failures = [], []
    with context.transaction() as transaction:
        until = transaction.now + 60.0 * minutes if enabled else None
        for id_ in _ids(context, cluster, request["tasks"], MAX_UPDATED):
            task = transaction.get(Task, task_key(cluster.name, id_))
            failure = _failure(transaction, cluster, id_, task)
            if failure is None and task is not None and enabled and _prolongs_waiting(transaction, task):
                failure = _blocked(transaction, task)
            if failure is not None:
                failures.append(failure)
            elif task is not None:
                changed = replace(task, protected_until=until)
                transaction.put(changed, f"protected for {minutes} min" if enabled else "no longer protected")
                protected.append(_render(transaction, changed))
    return {"protectedTasks": protected, "failures": failures}


def _ids(context: RequestContext, cluster: Cluster, names: list[str] | None, most: int) -> list[str]:
    if names is None:
        protected = context.read.select(PROTECTED_TASKS, True).values()
        return sorted(task.id for task in protected if task.cluster == cluster.name)[:most]
    if not names:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(names) > most:
        raise InvalidParameterException(f"Tasks cannot exceed {most} items.")
    return list(dict.fromkeys(task_id(context, cluster, name) for name in names))


def _failure(read: Reader, cluster: Cluster, id_: str, task: Task | None) -> Document | None:
    """Why a task has no protection to tell of, or to set."""
    arn = read.names.task_id(cluster.name, id_)
    if task is None:
        return missing(arn)
    if task.service is None:
        detail = "Only tasks of services can be protected."
    elif not is_running(task):
        detail = "The task is not RUNNING."
    else:
        return None
    return {"arn": arn, "reason": "TASK_NOT_VALID", "detail": detail}


def _prolongs_waiting(read: Reader, task: Task) -> bool:
    """Whether the service already waits for protected tasks, and would for this one too: to scale in, or to
    complete a deployment that has all its tasks."""
    key = service_key(task.cluster, task.service or "")
    service = read.get(Service, key)
    if service is None:
        return False
    running = [item for item in read.select(LIVE_TASKS_OF_SERVICE, key).values() if is_running(item)]
    protected = [item for item in running if item.protected_until is not None]
    if is_external(service):
        task_set = read.get(TaskSet, task_set_key(task.cluster, service.name, task.deployment or ""))
        of_same_set = sum(item.deployment == task.deployment for item in protected)
        return task_set is not None and of_same_set > computed_desired_count(service, task_set)
    if len(protected) > service.desired_count:
        return True
    deployments = read.select(DEPLOYMENTS_OF_SERVICE, key).values()
    primary = next((item.id for item in deployments if item.status == "PRIMARY"), None)
    return (
        task.deployment != primary
        and any(item.deployment != primary for item in protected)
        and sum(item.deployment == primary for item in running) >= service.desired_count
    )


def _blocked(read: Reader, task: Task) -> Document:
    return {
        "arn": read.names.task(task),
        "reason": "DEPLOYMENT_BLOCKED",
        "detail": "A deployment or the scaling in of the service is waiting for protected tasks already.",
    }


def _render(read: Reader, task: Task) -> Document:
    shown: Document = {
        "taskArn": read.names.task(task),
        "protectionEnabled": task.protected_until is not None,
    }
    if task.protected_until is not None:
        shown["expirationDate"] = task.protected_until
    return shown
