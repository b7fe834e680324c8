"""Stops a task's containers, and sees that they have stopped."""

import asyncio
import contextlib

import structlog

from agent.crash_points import CrashPoint, reach
from agent.engine.book import TaskRecord
from agent.engine.docker import Docker
from agent.engine.inspector import Inspector
from agent.engine.states import Observed, StopContainer, StopFailed, Vanished
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_POLL_S = 5.0
_KILL_WAIT_S = 30.0


class Stopper:
    """Stops them."""

    def __init__(self, docker: Docker, inspector: Inspector, clock: Clock) -> None:
        self._docker = docker
        self._inspector = inspector
        self._clock = clock

    async def stop(self, record: TaskRecord, command: StopContainer) -> Observed | Vanished | StopFailed:
        """Signal, wait, kill, wait: a container counts as stopped only when the engine says so.

        The waiting is done here and not by the engine, whose own stop call would hold a thread all that time.
        Raises ``EngineError``.
        """
        if command.delay:
            await asyncio.sleep(command.delay)
        event = await self._inspector.observe(record, command.container)
        if isinstance(event, Vanished) or event.inspection.state != "RUNNING":
            return event
        docker_name = record.docker_name(command.container)
        for signal, patience in ((event.inspection.stop_signal, command.timeout), ("SIGKILL", _KILL_WAIT_S)):
            log.info("container_signalled", container=docker_name, signal=signal, patience_s=patience)
            await self._docker.kill(docker_name, signal)
            reach(CrashPoint.SIGNALLED)
            ended = await self._until_stopped(record, command.container, patience)
            if ended is not None:
                return ended
        reason = f"CannotStopContainerError: {docker_name} still runs {_KILL_WAIT_S:g} s after SIGKILL"
        return StopFailed(at=self._clock.now(), container=command.container, reason=reason)

    async def _until_stopped(
        self, record: TaskRecord, container: str, patience: float
    ) -> Observed | Vanished | None:
        """Wait for the engine's word that a container has ended; None if ``patience`` seconds pass before."""
        known_stopped = record.stopped[container]
        if known_stopped.is_set():
            known_stopped = asyncio.Event()  # it was started again behind our back: look for ourselves
        deadline = self._clock.monotonic() + patience
        while (left := deadline - self._clock.monotonic()) > 0:
            # A lost event must not cost more than the pause, nor a false one a busy loop.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(known_stopped.wait(), min(left, _POLL_S))
                known_stopped = asyncio.Event()
            event = await self._inspector.observe(record, container)
            if isinstance(event, Vanished) or event.inspection.state != "RUNNING":
                return event
        return None
