"""The Docker engine, made asynchronous. The only module that knows the Docker SDK.

The SDK blocks, so its calls run in three lanes of threads: ``work`` (create, start, remove), ``look``
(short calls that must not wait behind a burst of creates: inspect, kill, list, ping) and ``pull``. Calls
post their bodies as they are, so that every field of a payload's dockerConfig reaches the engine, known to
the SDK or not.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
import requests
import structlog
from docker import APIClient
from docker.errors import APIError, DockerException
from docker.transport import UnixHTTPAdapter
from prometheus_client import CollectorRegistry, Histogram

from agent.engine.errors import (
    CannotCreateContainerError,
    CannotCreateVolumeError,
    CannotInspectContainerError,
    CannotPullContainerError,
    CannotRemoveContainerError,
    CannotRemoveVolumeError,
    CannotStartContainerError,
    CannotStopContainerError,
    ContainerNameTakenError,
    DockerTimeoutError,
    EngineError,
    EngineUnavailableError,
    HostPortTakenError,
    NoSuchContainerError,
    NoSuchImageError,
)
from agent.engine.lanes import Lane
from agent.engine.records import (
    ContainerInspection,
    ContainerListing,
    ImageInspection,
    image_from_engine,
    inspection_from_engine,
    listing_from_engine,
)
from agent.protocol.clock import Clock

T = TypeVar("T")

log = structlog.get_logger(__name__)

MINIMUM_API_VERSION = "1.25"
_UNIX = "unix://"
_SOCKET = _UNIX + "/var/run/docker.sock"
_URGENT = 0
_PORT_CLASHES = ("port is already allocated", "address already in use", "Bind for ")


class TimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds after which a call of the engine is given up; those of amazon-ecs-agent."""

    create: float = 240.0
    start: float = 180.0
    inspect: float = 30.0
    kill: float = 30.0
    remove: float = 300.0
    volume: float = 300.0
    list: float = 600.0
    ping: float = 5.0
    version: float = 10.0
    pull: float = 7200.0
    pull_silence: float = 60.0
    """A pull that shows no progress for so long is broken off."""


class EngineVersion(msgspec.Struct, frozen=True):
    """What the engine says of itself."""

    version: str
    api_version: str


class _OneSocketAdapter(UnixHTTPAdapter):
    """The SDK keeps a pool of connections per URL, that is per container; one pool serves them all."""

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002
        return super().get_connection("http+docker://localhost", proxies)


class EventSource:
    """An open subscription to the engine's events. Iterating blocks until the next one; ``close`` ends it."""

    def __init__(self, client: APIClient, stream: Any) -> None:
        self._client = client
        self._stream = stream

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield each event as the engine words it, until the engine or ``close`` ends the stream."""
        try:
            yield from self._stream
        except (DockerException, requests.RequestException, ValueError) as error:
            raise EngineUnavailableError(str(error)) from error

    def close(self) -> None:
        """End the stream, also under a thread that waits for its next event."""
        try:
            self._stream.close()
        except OSError as error:
            log.debug("event_stream_was_closed_already", error=str(error))
        self._client.close()


class Docker:
    """An asynchronous client of one Docker engine.

    Every method raises an ``EngineError``: ``DockerTimeoutError`` when the limit passes,
    ``EngineUnavailableError`` when there is no engine to talk to, else the error named after the operation.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        clock: Clock,
        *,
        host: str = _SOCKET,
        limits: TimeLimits | None = None,
        workers: int = 8,
        pullers: int = 4,
    ) -> None:
        self._clock = clock
        self._host = host
        self._limits = limits or TimeLimits()
        self._work = Lane("docker-work", workers)
        self._look = Lane("docker-look", 3)
        self._pull = Lane("docker-pull", pullers)
        self._client: APIClient | None = None
        self._latency = Histogram(
            "homeport_agent_engine_call_duration_seconds",
            "How long calls of the Docker engine take, by operation.",
            ["operation"],
            registry=registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 240),
        )

    async def open(self) -> EngineVersion:
        """Connect and settle the API version. Raises ``EngineUnavailableError`` when nobody answers."""
        client = await self._look.call(self._connect)
        if self._client is not None:
            self._client.close()
        self._client = client
        return await self.version()

    async def close(self) -> None:
        """End the threads and connections; containers are not touched."""
        await asyncio.gather(self._work.close(), self._look.close(), self._pull.close())
        if self._client is not None:
            self._client.close()
            self._client = None

    def open_events(self, filters: Mapping[str, Any], since: float) -> "EventSource":
        """Subscribe to the engine's events from ``since`` (epoch seconds) on, on a connection of its own.
        Blocks.
        """
        client = self._connect()
        try:
            stream = client.events(since=int(since), filters=dict(filters), decode=True)
        except (DockerException, requests.RequestException) as error:
            client.close()
            raise EngineUnavailableError(str(error)) from error
        return EventSource(client, stream)

    def _connect(self) -> APIClient:
        client = None
        try:
            self._knock()
            client = APIClient(base_url=self._host, timeout=int(self._limits.version))
            if self._host.startswith(_UNIX):
                adapter = _OneSocketAdapter("http+" + self._host, timeout=60)
                client.mount("http+docker://", adapter)
            client.trust_env = False
        except (DockerException, requests.RequestException, OSError) as error:
            if client is not None:
                client.close()
            raise EngineUnavailableError(str(error)) from error
        return client

    def _knock(self) -> None:
        """Raise ``OSError`` if nobody listens: the SDK would leave an open socket behind in that case."""
        if self._host.startswith(_UNIX):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(self._limits.version)
                probe.connect(self._host.removeprefix(_UNIX))

    async def ping(self) -> None:
        """Raise unless the engine answers within five seconds, however many calls it keeps waiting."""
        request = partial(
            self._request, "GET", "/_ping", limit=self._limits.ping, error=EngineUnavailableError
        )
        try:
            async with asyncio.timeout(self._limits.ping):
                await self._call(self._look, "ping", request, priority=_URGENT)
        except TimeoutError as error:
            raise DockerTimeoutError(f"no answer within {self._limits.ping:g} s") from error

    async def version(self) -> EngineVersion:
        """The engine's version and the version of its API."""
        limit = self._limits.version
        request = partial(self._json, "GET", "/version", limit=limit, error=EngineUnavailableError)
        body = await self._call(self._look, "version", request)
        return EngineVersion(body["Version"], body["ApiVersion"])

    async def facts(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The engine's own words about itself: its answers to ``/info`` and ``/version``."""
        answers = []
        for path in ("/info", "/version"):
            request = partial(
                self._json, "GET", path, limit=self._limits.version, error=EngineUnavailableError
            )
            answers.append(await self._call(self._look, path.strip("/"), request))
        return answers[0], answers[1]

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
            await self._call(self._work, "start", request, priority=_URGENT)
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
        request = partial(
            self._json,
            "GET",
            f"/containers/{name}/json",
            limit=self._limits.inspect,
            error=CannotInspectContainerError,
            errors={404: NoSuchContainerError},
        )
        return inspection_from_engine(await self._call(self._look, "inspect", request, priority=_URGENT))

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

    async def inspect_image(self, reference: str) -> ImageInspection:
        """The image in the engine's own store. Raises ``NoSuchImageError``."""
        request = partial(
            self._json,
            "GET",
            f"/images/{reference}/json",
            limit=self._limits.inspect,
            error=CannotPullContainerError,
            errors={404: NoSuchImageError},
        )
        return image_from_engine(await self._call(self._look, "inspect_image", request), reference)

    async def pull(self, reference: str, auth: Mapping[str, str] | None = None) -> None:
        """Fetch an image from its registry. Raises ``CannotPullContainerError`` with the registry's words."""
        await self._call(self._pull, "pull", partial(self._pull_now, reference, auth))

    async def create_volume(self, body: Mapping[str, Any]) -> None:
        """Create a docker volume from a raw body; one of the same name and driver is left as it is."""
        request = partial(
            self._request,
            "POST",
            "/volumes/create",
            body=body,
            limit=self._limits.volume,
            error=CannotCreateVolumeError,
        )
        await self._call(self._work, "create_volume", request, priority=_URGENT)

    async def remove_volume(self, name: str) -> None:
        """Remove a docker volume that nobody uses; one that is gone is no error."""
        request = partial(
            self._request,
            "DELETE",
            f"/volumes/{name}",
            limit=self._limits.volume,
            error=CannotRemoveVolumeError,
            accept=(404,),
        )
        await self._call(self._work, "remove_volume", request)

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

    async def _call(self, lane: Lane, operation: str, request: Callable[[], T], priority: int = 1) -> T:
        def timed() -> T:
            with self._latency.labels(operation).time():
                return request()

        return await lane.call(timed, priority)

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return msgspec.json.decode(self._request(method, path, **options))

    def _request(
        self,
        method: str,
        path: str,
        *,
        limit: float,
        error: type[EngineError],
        errors: "Mapping[int, Callable[[str], EngineError]] | None" = None,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: Sequence[int] = (),
    ) -> bytes:
        """One HTTP exchange. ``errors`` names the error for a status, ``accept`` lists those that are no
        failure.
        """
        if self._client is None:
            raise EngineUnavailableError("the connection to the Docker engine is not open")
        url = f"{self._client.base_url}/v{self._client.api_version}{path}"
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._client.request(
                method, url, params=params, data=data, headers=headers, timeout=limit
            )
        except requests.Timeout as timeout:
            raise DockerTimeoutError(f"{method} {path} gave no answer within {limit:g} s") from timeout
        except requests.RequestException as failure:
            raise EngineUnavailableError(str(failure)) from failure
        if answer.status_code < 400 or answer.status_code in accept:
            return answer.content
        raise (errors or {}).get(answer.status_code, error)(_message(answer.content))

    def _pull_now(self, reference: str, auth: Mapping[str, str] | None) -> None:
        deadline = self._clock.monotonic() + self._limits.pull
        client = self._connect()
        try:
            client.timeout = int(self._limits.pull_silence)
            repository, tag = _split_reference(reference)
            credentials = None if auth is None else dict(auth)
            progress = client.pull(repository, tag=tag, stream=True, decode=True, auth_config=credentials)
            for line in progress:
                if "error" in line:
                    raise CannotPullContainerError(line["error"])
                if self._clock.monotonic() > deadline:
                    raise DockerTimeoutError(f"pulling {reference} took longer than {self._limits.pull:g} s")
        except APIError as error:
            raise CannotPullContainerError(error.explanation or str(error)) from error
        except requests.Timeout as error:
            silence = self._limits.pull_silence
            raise DockerTimeoutError(f"pulling {reference} showed no progress for {silence:g} s") from error
        except (DockerException, requests.RequestException) as error:
            raise EngineUnavailableError(str(error)) from error
        finally:
            client.close()


def _message(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return content.decode(errors="replace")


def _split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag (or digest); the engine pulls every tag of a repository when it is given none."""
    name, at, digest = reference.partition("@")
    if at:
        return name, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "latest")
