"""Carries out the state machine's commands and feeds what came of them back to it.

Thin: what to do is decided elsewhere. Every command waits until the step that gave it is on disk, runs as
a task of its own, and is answered by exactly one event.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from agent.checkpoint import CheckpointError
from agent.crash_points import CrashPoint, reach
from agent.engine.book import TaskRecord
from agent.engine.creator import Creator
from agent.engine.errors import (
    DockerTimeoutError,
    EngineError,
    EngineUnavailableError,
    ResourceInitializationError,
)
from agent.engine.images import Images
from agent.engine.inspector import Inspector
from agent.engine.pause_image import PauseImage
from agent.engine.presence import EnginePresence
from agent.engine.records import ImageInspection
from agent.engine.starter import Starter
from agent.engine.states import (
    AdmissionDelayed,
    Admitted,
    Command,
    CreateContainer,
    CreateFailed,
    Event,
    PrepareResources,
    Pulled,
    PullFailed,
    PullImage,
    ResourcesFailed,
    ResourcesReady,
    StartContainer,
    StartFailed,
    StartTimedOut,
    Status,
    StopContainer,
    StopFailed,
    Vanished,
    WatchStartTimeout,
)
from agent.engine.stopper import Stopper
from agent.engine.task_resources import TaskResources
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_WRITE_RETRY_S = 1.0
_NEED_NO_WRITE = (PrepareResources, StopContainer)
"""Commands that leave nothing which only the checkpoint could tell a restart; a full disk stops no stop."""
_CRASH_POINTS = {
    PrepareResources: (CrashPoint.BEFORE_RESOURCES, CrashPoint.AFTER_RESOURCES),
    PullImage: (CrashPoint.BEFORE_PULL, CrashPoint.AFTER_PULL),
    CreateContainer: (CrashPoint.BEFORE_CREATE, CrashPoint.AFTER_CREATE),
    StartContainer: (CrashPoint.BEFORE_START, CrashPoint.AFTER_START),
    StopContainer: (CrashPoint.BEFORE_STOP, CrashPoint.AFTER_STOP),
}
_LOOK_AGAIN_S = (0.2, 1.0, 5.0)


class Runner:
    """Turns commands into calls of the engine."""

    def __init__(
        self,
        presence: EnginePresence,
        images: Images,
        pause: PauseImage,
        resources: TaskResources,
        inspector: Inspector,
        creator: Creator,
        starter: Starter,
        stopper: Stopper,
        clock: Clock,
        apply: "Callable[[TaskRecord, Event], object]",
        write: "Callable[[TaskRecord], asyncio.Future[None]]",
    ) -> None:
        """``apply`` lets an event happen to a task, ``write`` puts a task in line to be written again."""
        self._presence = presence
        self._images = images
        self._pause = pause
        self._resources = resources
        self._inspector = inspector
        self._creator = creator
        self._starter = starter
        self._stopper = stopper
        self._clock = clock
        self._apply = apply
        self._write = write
        self._under_way: set[asyncio.Task[None]] = set()

    def carry_out(
        self, record: TaskRecord, commands: tuple[Command, ...], written: "asyncio.Future[None]"
    ) -> None:
        """Start to carry out ``commands`` once ``written`` is done."""
        for command in commands:
            self.spawn(self._carry_out(record, command, written), repr(command))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` beside everything else; what it raises is logged, since nobody waits for it."""
        task = asyncio.create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work_failed", work=task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Leave everything as it is; containers are not touched."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def look(self, record: TaskRecord, container: str) -> None:
        """Ask the engine how a container is, and let the task know. Tries again if the engine does not
        tell.
        """
        for pause in (*_LOOK_AGAIN_S, None):
            try:
                event = await self._inspector.observe(record, container)
            except EngineError as error:
                log.warning(
                    "container_not_seen", task=record.plan.arn, container=container, reason=error.reason
                )
                if pause is None:
                    return  # the next reconciliation sees it
                await asyncio.sleep(pause)
            else:
                self._apply(record, event)
                return

    async def until_gone(self, record: TaskRecord) -> None:
        """Return when the engine is through with every container of a stopped task: until then it still holds
        their host ports and memory.
        """
        for plan, state in zip(record.plan.containers, record.state.containers, strict=True):
            while state.ran:
                try:
                    event = await self._inspector.observe(record, plan.name)
                except EngineError as error:
                    log.warning("container_not_seen_gone", container=plan.docker_name, reason=error.reason)
                else:
                    if isinstance(event, Vanished) or event.inspection.state != "RUNNING":
                        break
                    self._apply(record, event)
                await asyncio.sleep(_LOOK_AGAIN_S[1])

    async def _carry_out(self, record: TaskRecord, command: Command, written: "asyncio.Future[None]") -> None:
        if not isinstance(command, _NEED_NO_WRITE):
            await self._on_disk(record, written)
        try:
            event = await self._presence.outlast(
                partial(self._answer_or_crash, record, command),
                wanted=lambda: _is_wanted(record, command),
                waiting=lambda reason: self._wait(record, reason),
            )
        except EngineError as error:
            event = _failure(command, self._clock.now(), error)
        except Exception as error:
            log.exception("command_failed", task=record.plan.arn, command=repr(command))
            event = _failure(command, self._clock.now(), EngineError(str(error)))
        if record.state.admitted and record.state.waits_for:
            self._apply(record, Admitted(at=self._clock.now()))
        if event is not None:
            self._apply(record, event)

    def _wait(self, record: TaskRecord, reason: str) -> None:
        self._apply(record, AdmissionDelayed(at=self._clock.now(), reason=reason))

    async def _on_disk(self, record: TaskRecord, written: "asyncio.Future[None]") -> None:
        """Wait until the step is written, however long a full disk takes to be emptied."""
        while True:
            await asyncio.wait([written])
            try:
                written.result()
            except CheckpointError as error:
                self._wait(record, f"waits until this agent can write to its disk again: {error}")
                await asyncio.sleep(_WRITE_RETRY_S)
                written = self._write(record)
            else:
                return

    async def _answer_or_crash(self, record: TaskRecord, command: Command, tried: int) -> Event | None:
        points = _CRASH_POINTS.get(type(command))
        if points is None:
            return await self._answer(record, command, tried)
        reach(points[0])
        event = await self._answer(record, command, tried)
        reach(points[1])
        return event

    async def _answer(self, record: TaskRecord, command: Command, tried: int) -> Event | None:
        match command:
            case PrepareResources():
                await self._resources.prepare(record, lambda reason: self._wait(record, reason))
                return ResourcesReady(at=self._clock.now())
            case PullImage():
                image = await self._image(record, command.container)
                return Pulled(
                    at=self._clock.now(),
                    container=command.container,
                    digest=image.digest,
                    image_id=image.image_id,
                )
            case CreateContainer():
                return await self._creator.create(record, command.container)
            case StartContainer():
                return await self._starter.start(record, command.container, again=tried > 0)
            case StopContainer():
                return await self._stopper.stop(record, command)
            case WatchStartTimeout():
                await asyncio.sleep(command.seconds)
                return StartTimedOut(at=self._clock.now(), container=command.container)

    async def _image(self, record: TaskRecord, container: str) -> ImageInspection:
        reference = record.container(container).image or ""
        if record.plan.containers[record.plan.index(container)].internal:
            return await self._pause.ensure(reference)
        login = await self._resources.login(record, container)
        return await self._images.ensure(reference, login)


def _is_wanted(record: TaskRecord, command: Command) -> bool:
    """Whether a command is still worth waiting for the engine."""
    match command:
        case StopContainer():
            return True
        case PrepareResources():
            return record.state.desired is not Status.STOPPED
    return record.state.containers[record.plan.index(command.container)].desired is not Status.STOPPED


def _failure(command: Command, at: float, error: EngineError) -> Event | None:
    match command:
        case PrepareResources():
            return ResourcesFailed(at=at, reason=error.reason)
        case PullImage():
            reason = error.reason
            if not isinstance(error, DockerTimeoutError | ResourceInitializationError):
                reason = f"CannotPullContainerError: {error}"
            return PullFailed(at=at, container=command.container, reason=reason)
        case CreateContainer():
            return CreateFailed(at=at, container=command.container, reason=error.reason)
        case StartContainer():
            may_run = isinstance(error, DockerTimeoutError | EngineUnavailableError)
            return StartFailed(at=at, container=command.container, reason=error.reason, may_run=may_run)
        case StopContainer():
            return StopFailed(at=at, container=command.container, reason=error.reason)
        case WatchStartTimeout():
            return None
