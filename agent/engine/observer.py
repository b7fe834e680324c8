"""What the Docker engine tells, brought to the tasks that it concerns.

Events are heard as they come; whatever they may have missed is found by comparing the engine's list of
containers with what is known, at every (re)opening of the stream and every few minutes.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from agent.engine.book import TaskBook, TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import EngineError, NoSuchContainerError
from agent.engine.events import EventStream
from agent.engine.inspector import Inspector
from agent.engine.presence import EnginePresence
from agent.engine.records import ContainerInspection, DockerEvent, HealthStatus, StreamLost, StreamOpened
from agent.engine.runner import Runner
from agent.engine.states import ContainerState, Died, Event, HealthChanged, Observed, Status
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_NANOSECONDS = 1e9
_CATCH_UP_RETRY_S = 1.0

_HEALTH_EVENTS: Mapping[str, HealthStatus] = {
    "health_status: healthy": "HEALTHY",
    "health_status: unhealthy": "UNHEALTHY",
}


class Observer:
    """Listens to the engine and compares."""

    def __init__(
        self,
        book: TaskBook,
        docker: Docker,
        stream: EventStream,
        runner: Runner,
        inspector: Inspector,
        presence: EnginePresence,
        clock: Clock,
        label: str,
    ) -> None:
        """``label`` is what this agent's containers carry and no others."""
        self._book = book
        self._docker = docker
        self._stream = stream
        self._runner = runner
        self._inspector = inspector
        self._presence = presence
        self._clock = clock
        self._label = label
        self._out_of_memory: set[str] = set()

    async def open(self) -> None:
        """Begin to listen. From its return on, no event is lost."""
        self._stream.start()
        while not isinstance(notice := await self._stream.next(), StreamOpened):
            log.warning("engine_events_not_open", notice=repr(notice))

    async def follow(self) -> None:
        """React to what happens, for ever."""
        while True:
            notice = await self._stream.next()
            match notice:
                case DockerEvent():
                    self._hear(notice)
                case StreamOpened():
                    log.info("engine_events_reopened")
                    self._runner.spawn(self.catch_up(), "compare with the engine")
                case StreamLost():
                    log.warning("engine_events_lost", reason=notice.reason)
                    self._runner.spawn(self._is_engine_there(), "look for the engine")

    async def _is_engine_there(self) -> None:
        await self._presence.check()

    async def catch_up(self) -> None:
        """Find what events may have been missed, however often the engine goes away over it."""
        while not await self.compare():
            await asyncio.sleep(_CATCH_UP_RETRY_S)

    def _hear(self, event: DockerEvent) -> None:
        found = self._book.by_docker_name(event.name)
        if found is None:
            return
        record, name = found
        state = record.state.containers[record.plan.index(name)]
        if event.action in _HEALTH_EVENTS:
            health = _HEALTH_EVENTS[event.action]
            self._book.apply(record, HealthChanged(at=self._clock.now(), container=name, health=health))
            return
        if event.action == "oom":
            self._out_of_memory.add(event.name)
        elif event.action == "destroy":
            self._out_of_memory.discard(event.name)
        elif event.action == "die":
            self._hear_of_death(event, record, name, state)
        ended = event.action in ("stop", "destroy") and state.known is not Status.STOPPED
        # Our own starts are answered by the call itself.
        begun = event.action in ("start", "restart") and Status.RUNNING not in (state.known, state.applied)
        if ended or begun:
            self._runner.spawn(self._runner.look(record, name), f"look at {event.name}")

    def _hear_of_death(
        self, event: DockerEvent, record: TaskRecord, name: str, state: ContainerState
    ) -> None:
        """Believe the event at once if the container was running: an inspection has to wait for the
        engine's own tidying up, a tenth of a second and more. Of a start under way only an inspection
        tells whether it ran, and of a container that is started again which of its lives has ended.
        """
        out_of_memory = event.name in self._out_of_memory
        self._out_of_memory.discard(event.name)
        restartable = record.plan.containers[record.plan.index(name)].restart is not None
        if state.known is Status.RUNNING and event.exit_code is not None and not restartable:
            died = Died(
                at=event.time_ns / _NANOSECONDS,
                container=name,
                exit_code=event.exit_code,
                out_of_memory=out_of_memory,
            )
            self._book.apply(record, died)
        elif state.known is not Status.STOPPED:
            self._runner.spawn(self._runner.look(record, name), f"look at {event.name}")

    async def compare(self, *, look_at_all: bool = False) -> bool:
        """Compare every container with the engine's list, and look at those that differ.

        A container that was made and is not on the list has vanished. One that carries our label and is
        not known is left alone. False if the engine did not give its list.
        """
        try:
            listed = await self._docker.list_containers(self._label)
        except EngineError as error:
            log.warning("comparison_failed", reason=error.reason)
            return False
        there = {entry.name: entry.state for entry in listed}
        for record in self._book:
            to_be_seen = []
            for plan, state in zip(record.plan.containers, record.state.containers, strict=True):
                seen = there.pop(plan.docker_name, None)
                if state.known is Status.STOPPED and seen != "RUNNING":
                    continue
                expected = "RUNNING" if state.known is Status.RUNNING else "CREATED"
                not_made_yet = seen is None and state.known < Status.CREATED
                if not not_made_yet and (look_at_all or seen != expected):
                    to_be_seen.append(plan.name)
            if look_at_all and not await self._look_together(record, to_be_seen):
                return False
            for name in () if look_at_all else to_be_seen:
                await self._runner.look(record, name)
        for name in there:
            log.warning("container_unknown", container=name)
        return True

    async def _look_together(self, record: TaskRecord, names: list[str]) -> bool:
        """Look at several containers before anything is concluded from one of them.

        After a restart of the agent nobody knows which start was under way: what runs has to be known before
        another container's end stops the task. False if the engine did not tell of all of them.
        """
        try:
            seen = [await self._inspector.observe(record, name) for name in names]
        except EngineError as error:
            log.warning("containers_not_seen", task=record.plan.arn, reason=error.reason)
            return False
        for event in in_order_of_belief(seen):
            self._book.apply(record, event)
        return True

    async def find_unknown(self) -> tuple[ContainerInspection, ...]:
        """Every container that carries our label and is of no task that is known. Raises ``EngineError``."""
        found: list[ContainerInspection] = []
        for entry in await self._docker.list_containers(self._label):
            if self._book.by_docker_name(entry.name) is not None:
                continue
            try:
                found.append(await self._docker.inspect(entry.name))
            except NoSuchContainerError:
                continue  # it went away in between
        return tuple(found)


def in_order_of_belief(seen: Iterable[Event]) -> list[Event]:
    """Accounts of a task's containers, those that run first: the end of one may stop all the others."""
    return sorted(seen, key=lambda event: not _runs(event))


def _runs(event: Event) -> bool:
    return isinstance(event, Observed) and event.inspection.state == "RUNNING"
