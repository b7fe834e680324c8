"""The Docker engine's calls about containers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import msgspec

from agent.engine.details import ContainerDetails, details_from_engine
from agent.engine.docker_calls import URGENT, Calls
from agent.engine.errors import (
    CannotCreateContainerError,
    CannotInspectContainerError,
    CannotRemoveContainerError,
    CannotStartContainerError,
    CannotStopContainerError,
    ContainerNameTakenError,
    HostPortTakenError,
    NoSuchContainerError,
)
from agent.engine.records import (
    ContainerInspection,
    ContainerListing,
    inspection_from_engine,
    listing_from_engine,
)

_PORT_CLASHES = ("port is already allocated", "address already in use", "Bind for ")


class ContainerCalls(Calls):
    """Making, starting, stopping, looking at and removing containers."""

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create container ``name`` from a raw create body and return its id.

        Raises ``ContainerNameTakenError`` if the name exists.
        """
        request = partial(
            self._json,
            "POST",
            "/containers/create",
            params={"name": name},
            body=body,
            limit=self._limits.create,
            error=CannotCreateContainerError,
            errors={409: ContainerNameTakenError},
        )
        answer = await self._call(self._work, "create", request)
        return cast("str", answer["Id"])

    async def start(self, name: str) -> None:
        """Start a container; one that already runs is left as it is. Starts overtake creates that wait.

        Raises ``HostPortTakenError`` when a published host port belongs to somebody else.
        """
        request = partial(
            self._request,
            "POST",
            f"/containers/{name}/start",
            limit=self._limits.start,
            error=CannotStartContainerError,
        )
        try:
            await self._call(self._work, "start", request, priority=URGENT)
        except CannotStartContainerError as error:
            if any(words in str(error) for words in _PORT_CLASHES):
                raise HostPortTakenError(str(error)) from error
            raise

    async def kill(self, name: str, signal: str) -> None:
        """Send ``signal`` to a container's first process; one that does not run (any more) is no error."""
        request = partial(
            self._request,
            "POST",
            f"/containers/{name}/kill",
            params={"signal": signal},
            limit=self._limits.kill,
            error=CannotStopContainerError,
            errors={404: NoSuchContainerError},
            accept=(409,),
        )
        await self._call(self._look, "kill", request)

    async def inspect(self, name: str) -> ContainerInspection:
        """The container's state now. Raises ``NoSuchContainerError`` if it is gone."""
        answer = await self._call(self._look, "inspect", self._container(name), priority=URGENT)
        return inspection_from_engine(answer)

    async def details(self, name: str) -> ContainerDetails:
        """What task metadata tells of a container. Raises ``NoSuchContainerError`` if it is gone."""
        return details_from_engine(await self._call(self._look, "details", self._container(name)))

    def _container(self, name: str) -> Callable[[], Any]:
        return partial(
            self._json,
            "GET",
            f"/containers/{name}/json",
            limit=self._limits.inspect,
            error=CannotInspectContainerError,
            errors={404: NoSuchContainerError},
        )

    async def list_containers(self, *labels: str) -> tuple[ContainerListing, ...]:
        """Every container, running or not, that carries all of ``labels`` (each ``key`` or ``key=value``)."""
        filters = msgspec.json.encode({"label": list(labels)} if labels else {}).decode()
        request = partial(
            self._json,
            "GET",
            "/containers/json",
            params={"all": "1", "filters": filters},
            limit=self._limits.list,
            error=CannotInspectContainerError,
        )
        return tuple(listing_from_engine(entry) for entry in await self._call(self._look, "list", request))

    async def remove(self, name: str) -> None:
        """Remove a container that does not run, and its anonymous volumes. One that is gone is no error."""
        request = partial(
            self._request,
            "DELETE",
            f"/containers/{name}",
            params={"v": "1"},
            limit=self._limits.remove,
            error=CannotRemoveContainerError,
            accept=(404,),
        )
        await self._call(self._work, "remove", request)

    async def stats(self, name: str) -> Mapping[str, Any]:
        """The engine's own figures for a running container, one sample. Used where cgroup files cannot be
        read.
        """
        request = partial(
            self._json,
            "GET",
            f"/containers/{name}/stats",
            params={"stream": "0", "one-shot": "1"},
            limit=self._limits.inspect,
            error=CannotInspectContainerError,
            errors={404: NoSuchContainerError},
        )
        return cast("Mapping[str, Any]", await self._call(self._look, "stats", request))
