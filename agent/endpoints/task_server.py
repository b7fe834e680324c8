"""What tasks are served at 169.254.170.2: their metadata and statistics, their credentials, their protection.

A container is known by the random id in its environment, which is what keeps one task from reading another's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from agent.endpoints.answers import json_answer
from agent.endpoints.credentials import credentials_routes
from agent.endpoints.metadata import (
    ContainerView,
    Surroundings,
    TagLookup,
    container_v3,
    container_v4,
    task_v3,
    task_v4,
)
from agent.endpoints.task_protection import TaskProtection
from agent.engine.book import TaskRecord
from agent.engine.details import ContainerDetails
from agent.engine.errors import EngineError
from agent.engine.namespaces import has_own_network
from agent.engine.role_credentials import RoleCredentials
from agent.engine.states import Status

log = structlog.get_logger(__name__)

_MOST_OF_A_BODY = 64 * 1024


class Tasks(Protocol):
    """Where tasks are found; ``agent.engine.engine.TaskEngine`` is the real one."""

    def records(self) -> tuple[TaskRecord, ...]:
        """Every task that the agent knows."""
        ...

    async def container_details(self, docker_name: str) -> ContainerDetails:
        """What the container engine says of a container. Raises ``EngineError``."""
        ...

    async def container_stats(self, docker_id: str, docker_name: str) -> Mapping[str, Any] | None:
        """Statistics of a running container in the shape of the engine's API; None if it has ended."""
        ...


TagsOf = Callable[[TaskRecord], Awaitable[Sequence[TagLookup]]]
"""Looks up the tags of a task and of the container instance."""


class TaskServer:
    """The handlers of everything below ``/v3`` and ``/v4``."""

    def __init__(self, tasks: Tasks, surroundings: Callable[[], Surroundings], tags_of: TagsOf) -> None:
        self._tasks = tasks
        self._surroundings = surroundings
        self._tags_of = tags_of
        self._details: dict[str, tuple[float | None, ContainerDetails]] = {}

    def find(self, container_id: str) -> TaskRecord | None:
        """The task that a container belongs to, by the id in the container's environment."""
        found = self._find(container_id)
        return None if found is None else found[0]

    def routes(self) -> list[web.RouteDef]:
        """Everything below ``/v3`` and ``/v4``."""
        found = []
        for version in (3, 4):
            handlers: dict[str, Callable[[web.Request, int], Awaitable[web.Response]]] = {
                "": self._container,
                "/task": partial(self._task, with_tags=False),
                "/taskWithTags": partial(self._task, with_tags=True),
                "/stats": self._container_stats,
                "/task/stats": self._task_stats,
                "/associations/{type:[^/]+}": self._associations,
                "/associations/{type:[^/]+}/{name:.+}": self._association,
            }
            for path, handler in handlers.items():
                found.append(web.get(f"/v{version}/{{id:[^/]+}}{path}", partial(_answered, handler, version)))
        return found

    # --- metadata ---------------------------------------------------------------------------------------

    async def _container(self, request: web.Request, version: int) -> web.Response:
        record, position = self._found(request, version, "container metadata")
        view = await self._view(record, position)
        return json_answer((container_v4 if version == 4 else container_v3)(record, view))

    async def _task(self, request: web.Request, version: int, *, with_tags: bool) -> web.Response:
        record, _ = self._found(request, version, "task metadata")
        views = [
            await self._view(record, position)
            for position, state in enumerate(record.state.containers)
            if state.known is not Status.NONE
        ]
        tags = await self._tags_of(record) if with_tags else ()
        build = task_v4 if version == 4 else task_v3
        return json_answer(build(record, views, self._surroundings(), tags))

    async def _view(self, record: TaskRecord, position: int) -> ContainerView:
        plan, state = record.plan.containers[position], record.state.containers[position]
        details = pause = None
        if state.docker_id:
            details = await self._details_of(plan.docker_name, state.started_at, fresh=plan.health_checked)
        if has_own_network(record.definition):
            pause = await self._pause_of(record)
        return ContainerView(record.definition.containers[position], plan, state, details, pause)

    async def _pause_of(self, record: TaskRecord) -> ContainerDetails | None:
        for plan, state in zip(record.plan.containers, record.state.containers, strict=True):
            if plan.internal and state.docker_id:
                return await self._details_of(plan.docker_name, state.started_at, fresh=False)
        return None

    async def _details_of(
        self, docker_name: str, started_at: float | None, *, fresh: bool
    ) -> ContainerDetails:
        """Asked of the engine once for each start of a container; ``fresh`` asks anew every time."""
        kept = self._details.get(docker_name)
        if kept is not None and kept[0] == started_at and not fresh:
            return kept[1]
        details = await self._tasks.container_details(docker_name)
        there = {plan.docker_name for record in self._tasks.records() for plan in record.plan.containers}
        self._details = {name: value for name, value in self._details.items() if name in there}
        self._details[docker_name] = (started_at, details)
        return details

    # --- statistics -------------------------------------------------------------------------------------

    async def _container_stats(self, request: web.Request, version: int) -> web.Response:
        record, position = self._found(request, version, "container stats")
        docker_id = record.state.containers[position].docker_id or ""
        docker_name = record.plan.containers[position].docker_name
        stats = await self._tasks.container_stats(docker_id, docker_name)
        if stats is None:
            return json_answer(f"Unable to get container stats for: {docker_id}", 500)
        return json_answer(_of_version(version, stats))

    async def _task_stats(self, request: web.Request, version: int) -> web.Response:
        record, _ = self._found(request, version, "task stats")
        body = {}
        for plan, state in zip(record.plan.containers, record.state.containers, strict=True):
            if state.docker_id and not plan.internal:
                stats = await self._tasks.container_stats(state.docker_id, plan.docker_name)
                body[state.docker_id] = _of_version(version, stats or {})
        return json_answer(body)

    # --- associations -----------------------------------------------------------------------------------

    async def _associations(self, request: web.Request, version: int) -> web.Response:
        record, position = self._found(request, version, "container associations", missing=400)
        container = record.plan.containers[position].name
        kind = request.match_info["type"]
        names = [
            each.name
            for each in record.definition.associations
            if each.type == kind and container in each.containers
        ]
        return json_answer({"Associations": names})

    async def _association(self, request: web.Request, version: int) -> web.Response:
        record, position = self._found(request, version, "container association", missing=400)
        container = record.plan.containers[position].name
        kind, name = request.match_info["type"], request.match_info["name"]
        for each in record.definition.associations:
            if each.type == kind and each.name == name and container in each.containers:
                return web.Response(text=(each.content.value if each.content else None) or "")
        return json_answer(f"V{version} container association handler: unknown association {name}", 400)

    # --- finding ----------------------------------------------------------------------------------------

    def _find(self, container_id: str) -> tuple[TaskRecord, int] | None:
        for record in self._tasks.records():
            for position, plan in enumerate(record.plan.containers):
                if plan.metadata_id and plan.metadata_id == container_id:
                    return record, position
        return None

    def _found(
        self, request: web.Request, version: int, what: str, *, missing: int | None = None
    ) -> tuple[TaskRecord, int]:
        container_id = request.match_info["id"]
        found = self._find(container_id)
        if found is not None:
            return found
        status = missing or (404 if version == 4 else 400 if "stats" in what else 500)
        text = f"V{version} {what} handler: unable to get container ID from request: no container has the id"
        raise _NotThere(f"{text} {container_id}", status)


class _NotThere(Exception):
    """What the caller asks for does not exist."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


async def _answered(
    handler: Callable[[web.Request, int], Awaitable[web.Response]], version: int, request: web.Request
) -> web.Response:
    """The handler's answer, or its failure in ECS's form: a JSON string."""
    try:
        return await handler(request, version)
    except _NotThere as missing:
        return json_answer(missing.text, missing.status)
    except EngineError as error:
        log.warning("metadata_not_available", path=request.path, reason=error.reason)
        return json_answer(f"Unable to generate metadata: {error.reason}", 500)


def _of_version(version: int, stats: Mapping[str, Any]) -> dict[str, Any]:
    """Version 3 knows no rates."""
    return {key: value for key, value in stats.items() if version == 4 or key != "network_rate_stats"}


def task_app(
    server: TaskServer,
    credentials: RoleCredentials,
    protection: TaskProtection,
    middleware: Middleware,
) -> web.Application:
    """The application; ``middleware`` bounds what each caller may ask for."""

    async def read(request: web.Request) -> web.Response:
        return json_answer(*await protection.read(request.match_info["id"]))

    async def change(request: web.Request) -> web.Response:
        return json_answer(*await protection.change(request.match_info["id"], await request.read()))

    application = web.Application(middlewares=[middleware], client_max_size=_MOST_OF_A_BODY)
    application.add_routes(server.routes())
    application.add_routes(credentials_routes(credentials))
    path = "/api/{id:[^/]+}/task-protection/v1/state"
    application.add_routes([web.get(path, read), web.put(path, change)])
    return application
