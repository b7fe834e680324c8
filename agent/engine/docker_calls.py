"""What every call of the Docker engine has in common: its limit of time, its lane of threads, its error.

The calls themselves are grouped by what they are about, in modules beside this one; ``docker.Docker`` brings
them together and exchanges the bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Histogram

from agent.engine.errors import EngineError
from agent.engine.lanes import Lane

T = TypeVar("T")

URGENT = 0
"""The priority of a call that overtakes the others of its lane."""


class TimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds after which a call of the engine is given up; those of amazon-ecs-agent."""

    create: float = 240.0
    start: float = 180.0
    inspect: float = 30.0
    kill: float = 30.0
    remove: float = 300.0
    remove_image: float = 180.0
    volume: float = 300.0
    list: float = 600.0
    ping: float = 5.0
    import_image: float = 60.0
    version: float = 10.0
    pull: float = 7200.0
    pull_silence: float = 60.0
    """A pull that shows no progress for so long is broken off."""


class Calls(ABC):
    """Runs calls in three lanes of threads: ``_work`` (create, start, remove), ``_look`` (short calls that
    must not wait behind a burst of creates: inspect, kill, list, ping) and ``_pull``.
    """

    def __init__(self, registry: CollectorRegistry, limits: TimeLimits, workers: int, pullers: int) -> None:
        self._limits = limits
        self._work = Lane("docker-work", workers)
        self._look = Lane("docker-look", 3)
        self._pull = Lane("docker-pull", pullers)
        self._latency = Histogram(
            "homeport_agent_engine_call_duration_seconds",
            "How long calls of the Docker engine take, by operation.",
            ["operation"],
            registry=registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 240),
        )

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
        params: Mapping[str, str | Sequence[str]] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        accept: Sequence[int] = (),
    ) -> bytes:
        """One HTTP exchange; blocks. ``errors`` names the error for a status, ``accept`` lists those that are
        no failure.
        """
        status, content = self._exchange(method, path, params, body, limit)
        if status < 400 or status in accept:
            return content
        raise (errors or {}).get(status, error)(message_of(content))

    @abstractmethod
    def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | Sequence[str]] | None,
        body: Mapping[str, Any] | bytes | None,
        limit: float,
    ) -> tuple[int, bytes]:
        """Send a request and return status and body of the answer; blocks.

        Raises ``DockerTimeoutError`` or ``EngineUnavailableError``.
        """


def message_of(content: bytes) -> str:
    """What the engine says in the body of an answer that is an error."""
    try:
        return str(msgspec.json.decode(content)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return content.decode(errors="replace")
