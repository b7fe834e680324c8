"""The tasks that wait for their share of the host: let in when it is theirs, told why they wait, and given up
when others keep them from it for too long.
"""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec
import structlog

from agent.engine.admission import NOBODY_ELSE, Delay, HostLedger, Others, Request
from agent.engine.book import TaskBook
from agent.engine.others import HostWatch
from agent.engine.states import AdmissionDelayed, Admitted, StopRequested
from agent.protocol.clock import Clock
from agent.protocol.resources import Resources

log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 0.5
"""While a task waits for what others hold: nobody tells when they let go of it."""


class Account(msgspec.Struct, frozen=True):
    """The host's resources at one moment."""

    capacity: Resources
    held: Mapping[str, Resources]
    """By task ARN."""
    waiting: tuple[Delay, ...]


class WaitingRoom:
    """Between a task's arrival and its admission.

    Of its own tasks the agent knows when they end. Others may never let go of what they hold, so that a task
    waits for them only so long: then it is stopped with the reason, and the controller may look for another
    instance.
    """

    def __init__(
        self, ledger: HostLedger, others: HostWatch, book: TaskBook, clock: Clock, patience_s: float
    ) -> None:
        """``patience_s`` is how long a task waits for what others hold."""
        self._ledger = ledger
        self._others = others
        self._book = book
        self._clock = clock
        self._patience_s = patience_s
        self._for_others: dict[str, tuple[float, Delay]] = {}
        """The tasks that wait for others: since when (monotonic), and for what."""
        self._waits_for_others = asyncio.Event()

    def impossible(self, demand: Resources) -> str:
        """Why this host can never hold ``demand``; empty if it can."""
        return self._ledger.impossible(demand)

    def hold(self, task_arn: str, demand: Resources) -> None:
        """Note what a task uses already."""
        self._ledger.hold(task_arn, demand)

    def ask(self, request: Request) -> None:
        """Put a task at the end of the queue; ``admit`` lets it in."""
        self._ledger.ask(request)

    def release(self, task_arn: str) -> None:
        """The task has ended: what it held is free, and if it waited it does not any more."""
        self._ledger.release(task_arn)
        self.admit()

    def admit(self) -> None:
        """Let in whatever fits now, and tell the others what they wait for."""
        if not self._ledger.waiting():
            self._note_waits_for_others(())
            return
        others = self._look()
        for arn in self._ledger.admit(others):
            record = self._book.get(arn)
            if record is not None:
                self._book.apply(record, Admitted(at=self._clock.now()))
        delays = tuple(self._ledger.delays(others))
        for delay in delays:
            self._tell(delay)
        self._note_waits_for_others(delays)

    def ports_spoken_for(self) -> frozenset[int]:
        """The host ports that no task may have, and those that one holds, be it not started yet."""
        all_of_them = (self._ledger.capacity, *self._ledger.held().values())
        return frozenset().union(*(each.ports_tcp | each.ports_udp for each in all_of_them))

    def account(self) -> Account:
        """What there is, who holds how much of it, and who waits for what, the head of the queue first."""
        return Account(self._ledger.capacity, self._ledger.held(), self._delays())

    async def watch(self) -> None:
        """Look again and again while a task waits for what others hold, for ever."""
        while True:
            await self._waits_for_others.wait()
            ports = {port for delay in self._delays() if isinstance(port := delay.of_others, tuple)}
            await self._others.find_names(ports)
            self.admit()
            self._give_up_on_others()
            await asyncio.sleep(LOOK_AGAIN_S)

    def _look(self) -> Others:
        waiting = self._ledger.waiting()
        if not waiting:
            return NOBODY_ELSE
        return self._others.look(at_ports=any(r.demand.ports_tcp or r.demand.ports_udp for r in waiting))

    def _delays(self) -> tuple[Delay, ...]:
        return tuple(self._ledger.delays(self._look()))

    def _tell(self, delay: Delay) -> None:
        record = self._book.get(delay.task_arn)
        if record is not None and record.state.waits_for != delay.reason:
            log.info("task_waits", task=delay.task_arn, reason=delay.reason)
            self._book.apply(record, AdmissionDelayed(at=self._clock.now(), reason=delay.reason))

    def _note_waits_for_others(self, delays: Iterable[Delay]) -> None:
        before, now = self._for_others, self._clock.monotonic()
        self._for_others = {
            delay.task_arn: (before[delay.task_arn][0] if delay.task_arn in before else now, delay)
            for delay in delays
            if delay.of_others
        }
        if self._for_others:
            self._waits_for_others.set()
        else:
            self._waits_for_others.clear()

    def _give_up_on_others(self) -> None:
        now = self._clock.monotonic()
        for since, delay in tuple(self._for_others.values()):
            record = self._book.get(delay.task_arn)
            if record is not None and now - since >= self._patience_s:
                reason = _waited_too_long(delay, self._patience_s)
                self._book.apply(record, StopRequested(at=self._clock.now(), reason=reason))


def _waited_too_long(delay: Delay, patience_s: float) -> str:
    what = delay.reason.removeprefix("waits for ")
    advice = (
        "free it, or give the task another one"
        if isinstance(delay.of_others, tuple)
        else "ECS_RESERVED_MEMORY tells the controller how much is not for tasks"
    )
    return f"ResourceInitializationError: waited {patience_s:g} s for {what}; {advice}"
