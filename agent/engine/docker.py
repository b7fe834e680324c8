"""The Docker engine, made asynchronous. The only module that knows the Docker SDK.

Here are the connection, the exchange of bytes and what is streamed (events, pulls); the plain calls stand
beside this module, in ``docker_containers`` and ``docker_storage``. They post their bodies as they are, so
that every field of a payload's dockerConfig reaches the engine, known to the SDK or not.
"""

import asyncio
import base64
import contextlib
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import requests
import structlog
from docker import APIClient
from docker.errors import DockerException
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool
from prometheus_client import CollectorRegistry

from agent.engine.docker_calls import URGENT, TimeLimits, message_of
from agent.engine.docker_containers import ContainerCalls
from agent.engine.docker_storage import StorageCalls
from agent.engine.errors import CannotPullContainerError, DockerTimeoutError, EngineUnavailableError
from agent.engine.image_reference import parse_reference
from agent.engine.pull_progress import PullListener
from agent.engine.registry_credentials import RegistryCredentials
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

MINIMUM_API_VERSION = "1.25"
_UNIX = "unix://"
_POOL = "http+docker://localhost"
_SOCKET = _UNIX + "/var/run/docker.sock"


class EngineVersion(msgspec.Struct, frozen=True):
    """What the engine says of itself."""

    version: str
    api_version: str


class _Connection(UnixHTTPConnection):
    """The SDK's own leaves its socket open when nobody listens."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.unix_socket)
        except OSError:
            self.close()
            raise


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        timeout: Any = self.timeout
        return _Connection(self.base_url, self.socket_path, timeout)


class _OneSocketAdapter(UnixHTTPAdapter):
    """The SDK keeps a pool of connections per URL, that is per container; one pool serves them all."""

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002
        with self.pools.lock:
            if _POOL not in self.pools:
                self.pools[_POOL] = _Pool(_POOL, self.socket_path, self.timeout, self.max_pool_size)
            return self.pools[_POOL]


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


class Docker(ContainerCalls, StorageCalls):
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
        super().__init__(registry, limits or TimeLimits(), workers, pullers)
        self._clock = clock
        self._host = host
        self._client: APIClient | None = None

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
                await self._call(self._look, "ping", request, priority=URGENT)
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

    async def pull(
        self, reference: str, credentials: RegistryCredentials | None, listener: PullListener
    ) -> None:
        """Fetch an image from its registry; ``listener`` hears how it goes on.

        Raises ``CannotPullContainerError`` with the registry's words.
        """
        await self._call(self._pull, "pull", partial(self._pull_now, reference, credentials, listener))

    def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | Sequence[str]] | None,
        body: Mapping[str, Any] | bytes | None,
        limit: float,
    ) -> tuple[int, bytes]:
        if self._client is None:
            raise EngineUnavailableError("the connection to the Docker engine is not open")
        url = f"{self._client.base_url}/v{self._client.api_version}{path}"
        data, headers = _encoded(body)
        try:
            answer = self._client.request(
                method, url, params=params, data=data, headers=headers, timeout=limit
            )
        except requests.Timeout as timeout:
            raise DockerTimeoutError(f"{method} {path} gave no answer within {limit:g} s") from timeout
        except requests.RequestException as failure:
            raise EngineUnavailableError(str(failure)) from failure
        return answer.status_code, answer.content

    def _pull_now(
        self, reference: str, credentials: RegistryCredentials | None, listener: PullListener
    ) -> None:
        deadline = self._clock.monotonic() + self._limits.pull
        listener.begun = True
        with contextlib.closing(self._pull_lines(reference, credentials)) as lines:
            for line in lines:
                listener.hear(line)
                if "error" in line:
                    raise CannotPullContainerError(str(line["error"]))
                if self._clock.monotonic() > deadline:
                    raise DockerTimeoutError(
                        f"Could not transition to pulled; timed out after waiting {self._limits.pull:g} s"
                    )

    def _pull_lines(
        self, reference: str, credentials: RegistryCredentials | None
    ) -> Generator[Mapping[str, Any], None, None]:
        """What the engine tells while it pulls. On a connection of its own: closing that ends the pull."""
        wanted, silence = parse_reference(reference), self._limits.pull_silence
        # Without credentials of ours none are sent: those of whoever runs the agent are not the task's.
        auth = {} if credentials is None else msgspec.structs.asdict(credentials)
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(msgspec.json.encode(auth)).decode()}
        client = self._connect()
        try:
            url = f"{client.base_url}/v{client.api_version}/images/create"
            parameters = {"fromImage": wanted.repository, "tag": wanted.wanted}
            with client.request(
                "POST", url, params=parameters, headers=headers, timeout=silence, stream=True
            ) as answer:
                if answer.status_code >= 400:
                    raise CannotPullContainerError(message_of(answer.content))
                for line in answer.iter_lines():
                    yield msgspec.json.decode(line, type=dict[str, Any])
        except (requests.Timeout, requests.ConnectionError) as error:
            if not isinstance(error, requests.Timeout) and "timed out" not in str(error):
                raise EngineUnavailableError(str(error)) from error
            raise CannotPullContainerError(
                f"pulling {reference} made no progress for {silence:g} s"
            ) from error
        except (DockerException, requests.RequestException, msgspec.DecodeError) as error:
            raise EngineUnavailableError(str(error)) from error
        finally:
            client.close()


def _encoded(body: Mapping[str, Any] | bytes | None) -> tuple[bytes | None, dict[str, str]]:
    """What is sent for a body, and its headers; bytes are an archive."""
    if body is None:
        return None, {}
    if isinstance(body, bytes):
        return body, {"Content-Type": "application/x-tar"}
    return msgspec.json.encode(body), {"Content-Type": "application/json"}
