"""The engine's event stream: one thread that listens and reopens, one queue that the agent reads."""

import asyncio
import threading
from collections.abc import Mapping

import structlog

from agent.engine.docker import Docker, EventSource
from agent.engine.errors import EngineUnavailableError
from agent.engine.records import DockerEvent, Notice, StreamLost, StreamOpened, event_from_engine
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0
_OVERLAP_S = 2.0
_REMEMBERED_NS = 10 * 1_000_000_000
"""Well beyond the overlap of two streams."""
_ACTIONS = ("start", "die", "oom", "stop", "restart", "destroy", "health_status")
_CLOSE_STEPS = 100
_CLOSE_STEP_S = 0.01


class EventStream:
    """What happens to the containers that carry ``label``, once each and as the engine tells it, with a
    notice whenever the stream (re)opens.

    Each opening asks for the moments before it too, since the engine answers a subscription before it is in
    force.
    """

    def __init__(self, docker: Docker, clock: Clock, label: str) -> None:
        self._docker = docker
        self._clock = clock
        self._filters = {"type": ["container"], "label": [label], "event": list(_ACTIONS)}
        self._notices: asyncio.Queue[Notice] = asyncio.Queue()
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._source: EventSource | None = None
        self._thread: threading.Thread | None = None
        self._heard: dict[tuple[int, str, str], None] = {}
        """The events of the last moments, in the order in which they came: time, container and action."""

    def start(self) -> None:
        """Begin to listen; the first notice is ``StreamOpened``."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._listen, args=(loop,), name="docker-events", daemon=True)
        self._thread.start()

    async def next(self) -> Notice:
        """The next notice, in the order in which they happened."""
        return await self._notices.get()

    async def stop(self) -> None:
        """End the thread. Waits a second at most: a thread that still connects is left behind as a daemon."""
        self._stopped.set()
        with self._guard:
            if self._source is not None:
                self._source.close()
        for _ in range(_CLOSE_STEPS):
            if self._thread is None or not self._thread.is_alive():
                return
            await asyncio.sleep(_CLOSE_STEP_S)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        retry = _FIRST_RETRY_S
        while not self._stopped.is_set():
            try:
                self._open()
                retry = _FIRST_RETRY_S
                self._post(loop, StreamOpened())
                self._forward(loop)
                reason = "the engine closed the stream"
            except EngineUnavailableError as error:
                reason = str(error)
            self._close()
            if not self._stopped.is_set():
                self._post(loop, StreamLost(reason))
                self._stopped.wait(retry)
                retry = min(retry * 2, _LAST_RETRY_S)

    def _open(self) -> None:
        source = self._docker.open_events(self._filters, self._clock.now() - _OVERLAP_S)
        with self._guard:
            self._source = source
            if self._stopped.is_set():
                source.close()

    def _close(self) -> None:
        with self._guard:
            if self._source is not None and not self._stopped.is_set():
                self._source.close()
            self._source = None

    def _forward(self, loop: asyncio.AbstractEventLoop) -> None:
        source = self._source
        for body in source or ():
            event = self._unseen(body)
            if event is not None:
                self._post(loop, event)

    def _unseen(self, body: Mapping[str, object]) -> DockerEvent | None:
        """The event, unless an earlier stream has delivered it already.

        Times do not tell which are new: where much happens at once the engine delivers events out of their
        order.
        """
        event = event_from_engine(body)
        key = (event.time_ns, event.docker_id, event.action)
        if key in self._heard:
            return None
        self._heard[key] = None
        while next(iter(self._heard))[0] < event.time_ns - _REMEMBERED_NS:
            del self._heard[next(iter(self._heard))]
        return event

    def _post(self, loop: asyncio.AbstractEventLoop, notice: Notice) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._notices.put_nowait, notice)
