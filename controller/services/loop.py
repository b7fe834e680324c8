"""Runs the step of every service whose world has changed. It decides nothing itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Protocol

import structlog

from agent.protocol.clock import Clock
from controller.services import events
from controller.services.agenda import Agenda
from controller.services.ages import Ages
from controller.services.apply import Ids, apply
from controller.services.launch import Launch
from controller.services.step import Announcement, Decision, step, step_daemon
from controller.services.task_sets import is_external, step_task_sets
from controller.services.view import ServiceView, view_of
from controller.state.changes import Cause, Change
from controller.state.entities import (
    ContainerInstance,
    Deployment,
    InstanceConnection,
    Service,
    Task,
    TaskSet,
    service_key,
)
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.indexes import DAEMON_SERVICES, TASKS_ON_INSTANCE
from controller.state.kernel import State
from controller.state.lifecycle import holds_resources

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 30.0
"""Seconds between looks at every service, for whatever a notice has missed."""
REPEAT_EVENT_AFTER_S = 6 * 3600.0
"""Seconds for which an event is not repeated while its cause lasts, as on ECS; then the steady state is."""
RETRY_AFTER_S = 1.0
LONGEST_RETRY_S = 60.0
MOST_FAILURES = 10
"""Failures of a service's step that are told apart; the delay has long stopped growing by then."""
PACE = 4.0
"""A step that took t seconds is not repeated for the next 4 t: very large services take at most a fifth of
the controller's time."""
TURNS_BETWEEN_PAUSES = 8
"""Steps between chances for requests and agents to be served."""


class ServiceSettings(Protocol):
    """What of the controller's configuration services need."""

    @property
    def healthy_after_s(self) -> float:
        """Seconds that a task without a health check must be RUNNING to count as healthy."""


class _Memory:
    """What the loop remembers of one service between steps; a restart forgets it without harm."""

    def __init__(self, clock: Clock) -> None:
        self.ages = Ages(clock)
        self.announced: dict[str, float] = {}
        self.steady_at = clock.monotonic()
        """When the steady state was announced last, or else when this began: a restart announces nothing."""
        self.failures = 0


class ServiceLoop:
    """Looks at services when a change, a timer or the slow sweep says so, and carries out what the step
    decides."""

    def __init__(
        self, state: State, clock: Clock, settings: ServiceSettings, ids: Ids, random: Random
    ) -> None:
        self._state = state
        self._clock = clock
        self._settings = settings
        self._ids = ids
        self._random = random
        self._agenda = Agenda()
        self._memories: dict[str, _Memory] = {}
        self._waiting_for_room: defaultdict[str, set[str]] = defaultdict(set)
        self._wake = asyncio.Event()
        state.subscribe(self._on_changes)

    async def run(self) -> None:
        """Work for ever."""
        sweep_at = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if now >= sweep_at:
                sweep_at = now + SWEEP_INTERVAL_S
                self._mark_all()
            await self._work()
            await self._sleep(sweep_at)

    async def _work(self) -> None:
        turns = 0
        while (key := self._agenda.next(self._clock.monotonic())) is not None:
            self._turn(key)
            turns += 1
            if turns % TURNS_BETWEEN_PAUSES == 0:
                await asyncio.sleep(0)

    async def _sleep(self, sweep_at: float) -> None:
        next_time = self._agenda.next_time()
        until = sweep_at if next_time is None else min(sweep_at, next_time)
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            entity = change.new if change.new is not None else change.old
            if isinstance(entity, Task):
                self._on_task(change.old, entity)
            elif isinstance(entity, Service):
                self._mark(entity.key)
            elif isinstance(entity, Deployment | TaskSet):
                self._mark(service_key(entity.cluster, entity.service))
            elif isinstance(entity, ContainerInstance):
                self._on_instance(entity)
            elif isinstance(entity, InstanceConnection):
                self._mark_daemons(entity.cluster)
                self._mark_waiting(entity.cluster)

    def _on_task(self, old: object, task: Task) -> None:
        if task.service:
            self._mark(service_key(task.cluster, task.service))
        if isinstance(old, Task) and holds_resources(old) and not holds_resources(task):
            self._mark_daemons(task.cluster)
            self._mark_waiting(task.cluster)

    def _on_instance(self, instance: ContainerInstance) -> None:
        self._mark_daemons(instance.cluster)
        for task in self._state.read().select(TASKS_ON_INSTANCE, instance.key).values():
            if task.service:
                self._mark(service_key(task.cluster, task.service))
        self._mark_waiting(instance.cluster)

    def _mark(self, key: str) -> None:
        self._agenda.mark(key, self._clock.monotonic())
        self._wake.set()

    def _mark_daemons(self, cluster: str) -> None:
        """Daemon services follow the instances, and wait for the last of other tasks on those that leave."""
        for key in self._state.read().select(DAEMON_SERVICES, cluster):
            self._mark(key)

    def _mark_waiting(self, cluster: str) -> None:
        for key in self._waiting_for_room[cluster]:
            self._mark(key)

    def _mark_all(self) -> None:
        for service in self._state.read().all(Service).values():
            if service.status != "INACTIVE":
                self._mark(service.key)

    def _turn(self, key: str) -> None:
        """Run one service's step. An error is logged and the service tried again later: others go on
        meanwhile."""
        memory = self._memories.setdefault(key, _Memory(self._clock))
        started = self._clock.monotonic()
        try:
            self._step(key, memory)
        except (StoreUnavailable, TooManyPendingWrites) as error:
            # Not this service's fault: it goes on as soon as the store does.
            self._retry(key, RETRY_AFTER_S)
            log.warning("service_step_postponed", service=key, reason=str(error) or type(error).__name__)
        except Exception:
            self._retry(key, min(LONGEST_RETRY_S, RETRY_AFTER_S * 2**memory.failures))
            memory.failures = min(memory.failures + 1, MOST_FAILURES)
            log.exception("service_step_failed", service=key, failures=memory.failures)
        else:
            memory.failures = 0
            ended = self._clock.monotonic()
            self._agenda.hold(key, ended + PACE * (ended - started))

    def _retry(self, key: str, delay: float) -> None:
        until = self._clock.monotonic() + delay
        self._agenda.hold(key, until)
        self._agenda.mark_at(key, until)

    def _step(self, key: str, memory: _Memory) -> None:
        with self._state.transaction(Cause("decision", f"service:{key}")) as transaction:
            service = transaction.get(Service, key)
            if service is None or service.status == "INACTIVE":
                self._forget(key)
                return
            view = view_of(
                transaction,
                service,
                ages=memory.ages,
                healthy_after_s=self._settings.healthy_after_s,
                announced=self._announced(memory),
                repeats_steady=self._clock.monotonic() - memory.steady_at > REPEAT_EVENT_AFTER_S,
                now=transaction.now,
            )
            launch = Launch(transaction, service, self._random)
            decision = _decide(view, launch)
            apply(transaction, view, decision, launch.launched, self._ids)
        self._note(service, memory, decision)

    def _announced(self, memory: _Memory) -> frozenset[str]:
        oldest = self._clock.monotonic() - REPEAT_EVENT_AFTER_S
        memory.announced = {cause: at for cause, at in memory.announced.items() if at > oldest}
        return frozenset(memory.announced)

    def _note(self, service: Service, memory: _Memory, decision: Decision) -> None:
        if decision.starts or decision.stops or decision.announcements:
            log.info(
                "service_step",
                service=service.key,
                decision=decision.summary,
                starts=len(decision.starts),
                stops=len(decision.stops),
            )
        if decision.steady:
            memory.announced.clear()
        now = self._clock.monotonic()
        if any(item.text == events.STEADY for item in decision.announcements):
            memory.steady_at = now
        memory.announced |= {item.cause: now for item in decision.announcements if _has_cause(item)}
        waiting = self._waiting_for_room[service.cluster]
        waiting.discard(service.key)
        if decision.lacks_room:
            waiting.add(service.key)
        if decision.wake_after_s is not None:
            self._agenda.mark_at(service.key, now + decision.wake_after_s)

    def _forget(self, key: str) -> None:
        self._memories.pop(key, None)
        self._agenda.forget(key)
        for waiting in self._waiting_for_room.values():
            waiting.discard(key)


def _decide(view: ServiceView, launch: Launch) -> Decision:
    if is_external(view.service):
        return step_task_sets(view, launch.place_for)
    if view.daemon is not None:
        return step_daemon(view, view.daemon, launch.place_on(view.primary))
    return step(view, launch.place_for(view.primary))


def _has_cause(announcement: Announcement) -> bool:
    return bool(announcement.cause)
