"""A small world around the step: tasks start, turn healthy, stop and fail in random order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from controller.scheduler.explain import explain
from controller.scheduler.seats import Refusal
from controller.services.balance import Places
from controller.services.limits import maximum_live, minimum_healthy
from controller.services.step import Decision, step
from controller.services.view import Exit, FailedStart, ServiceView, TaskView
from controller.state.entities import Deployment, Service

NO_ROOM = explain([Refusal("i", "RESOURCE:CPU", "needs 1 CPU units, has 0 free", 3, 1.0)])


def deployment(number: int, **members: object) -> Deployment:
    """A deployment of the simulated service; the higher its number, the newer."""
    return Deployment(
        cluster="default",
        service="web",
        id=f"ecs-svc/{number}",
        family="web",
        revision=number,
        created_at=float(number),
        updated_at=float(number),
        **members,  # type: ignore[arg-type]
    )


def service(desired: int, minimum: int = 100, maximum: int = 200) -> Service:
    """The simulated service."""
    return Service(
        cluster="default",
        name="web",
        desired_count=desired,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        created_at=0.0,
    )


@dataclass
class World:
    """A service, its tasks, and room for so many of them; stopping ones hold theirs until they end."""

    service: Service
    primary: Deployment
    room: int
    older: list[Deployment] = field(default_factory=list)
    tasks: dict[str, TaskView] = field(default_factory=dict)
    failed_starts: list[FailedStart] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    announced: set[str] = field(default_factory=set)
    hold_s: float = 0.0
    unplaced_left_s: float = 0.0
    made: int = 0

    def add(self, deployment_id: str, **members: object) -> TaskView:
        """A task of a deployment, as the step would see it."""
        self.made += 1
        members.setdefault("instance", f"i{self.made}")
        task = TaskView(
            id=f"t{self.made:04}",
            deployment=deployment_id,
            created_at=float(self.made),
            **members,  # type: ignore[arg-type]
        )
        self.tasks[task.id] = task
        return task

    @property
    def view(self) -> ServiceView:
        return ServiceView(
            service=self.service,
            primary=self.primary,
            older=tuple(self.older),
            tasks=tuple(self.tasks.values()),
            failed_starts=tuple(self.failed_starts),
            exits=tuple(self.exits),
            unplaced_left_s=self.unplaced_left_s,
            launch_hold_s=self.hold_s,
            announced=frozenset(self.announced),
        )

    def places(self, count: int) -> Places:
        free = max(0, self.room - len(self.tasks))
        found = min(count, free)
        return Places(tuple(f"i{n}" for n in range(found)), NO_ROOM if found < count else None)

    def turn(self) -> Decision:
        """Run the step once, do what it says and check that it kept to its limits."""
        before = [task for task in self.tasks.values() if not task.stopping]
        decision = step(self.view, self.places)
        stopped = {stop.task_id for stop in decision.stops}
        self._check_limits(before, decision, stopped)
        for task_id in stopped:
            self.tasks[task_id] = replace(self.tasks[task_id], stopping=True, healthy=False, unhealthy=False)
        self._put(decision)
        for instance in decision.starts:
            self.add(
                self.primary.id,
                instance=instance,
                has_run=False,
                healthy=False,
                launch_round=self.primary.launch_round,
            )
        return decision

    def _put(self, decision: Decision) -> None:
        present = {item.id: item for item in (self.primary, *self.older)}
        present |= {changed.id: changed for changed in decision.deployments}
        for removed in decision.removed:
            del present[removed.id]
        primary = next((item for item in present.values() if item.status == "PRIMARY"), None)
        self.primary = primary or present[self.primary.id]
        self.older = [item for item in present.values() if item.id != self.primary.id]
        self.failed_starts = [item for item in self.failed_starts if item.task_id not in decision.counted]
        self.exits = [item for item in self.exits if item.task_id not in decision.counted]
        for task_id in decision.seen_healthy:
            self._change(task_id, was_healthy=True)
        self.service = replace(decision.restored or self.service, status=decision.service_status)
        if decision.steady:
            self.announced.clear()
        for announcement in decision.announcements:
            self.messages.append(announcement.text)
            if announcement.cause:
                self.announced.add(announcement.cause)

    def _check_limits(self, before: list[TaskView], decision: Decision, stopped: set[str]) -> None:
        desired = self.service.desired_count if self.service.status == "ACTIVE" else 0
        maximum = maximum_live(desired, self.service.maximum_percent)
        minimum = minimum_healthy(desired, self.service.minimum_healthy_percent)
        left = [task for task in before if task.id not in stopped]
        if decision.starts:
            assert len(left) + len(decision.starts) <= maximum, decision
        healthy_stopped = sum(task.healthy for task in before if task.id in stopped)
        if healthy_stopped:
            assert sum(task.healthy for task in left) >= minimum, decision

    def moves(self) -> list[Callable[[], None]]:
        """What may happen next outside the step, on its way to a quiet world."""
        found: list[Callable[[], None]] = []
        for task in self.tasks.values():
            if task.stopping:
                found.append(lambda task_id=task.id: self._end(task_id))  # type: ignore[misc]
            elif not task.has_run:
                found.append(lambda task_id=task.id: self._change(task_id, has_run=True))  # type: ignore[misc]
            elif not task.healthy and not task.unhealthy:
                found.append(lambda task_id=task.id: self._change(task_id, healthy=True))  # type: ignore[misc]
        return found

    def _befall(self, task_id: str) -> None:
        task = self.tasks[task_id]
        if task.has_run or task.stopping:
            self._end(task_id)
        else:
            self.fail_to_start(task_id)

    def _end(self, task_id: str) -> None:
        del self.tasks[task_id]

    def _change(self, task_id: str, **members: object) -> None:
        self.tasks[task_id] = replace(self.tasks[task_id], **members)

    def fail_to_start(self, task_id: str) -> None:
        """A task ends before it ran."""
        task = self.tasks.pop(task_id)
        self.failed_starts.append(FailedStart(task.id, task.deployment, task.launch_round, "no such image"))

    def exit(self, task_id: str) -> None:
        """A task that has run ends by itself."""
        task = self.tasks.pop(task_id)
        self.exits.append(Exit(task.id, task.deployment, "Essential container in task exited"))

    @property
    def is_finished(self) -> bool:
        """Whether the service is as desired and nothing is left to do."""
        live = [task for task in self.tasks.values() if not task.stopping]
        return (
            len(live) == len(self.tasks) == self.service.desired_count
            and not self.older
            and all(
                task.healthy and not task.displaced and task.deployment == self.primary.id for task in live
            )
        )

    def run(self, random: Random, mishaps: int = 0, most_turns: int = 400) -> bool:
        """Let steps and the world take turns until neither moves; tells whether the service got there.

        So many `mishaps` befall its tasks on the way: a start fails, or a task dies.
        """
        for _ in range(most_turns):
            if mishaps and self.tasks and random.random() < 0.5:
                mishaps -= 1
                self._befall(random.choice(sorted(self.tasks)))
            decision = self.turn()
            moves = self.moves()
            if not (moves or decision.starts or decision.stops or decision.wake_after_s is not None):
                self.turn()
                return self.is_finished
            for move in random.sample(
                moves, random.randint(0 if decision.starts else min(1, len(moves)), len(moves))
            ):
                move()
        raise AssertionError(f"the service is still moving after {most_turns} turns: {self.view}")

    @property
    def shape(self) -> str:
        """The world as the traces write it: o old, p new and not yet healthy, H healthy and new."""
        live = [task for task in self.tasks.values() if not task.stopping]
        old = sum(task.deployment != self.primary.id or task.displaced for task in live)
        fresh = [task for task in live if task.deployment == self.primary.id and not task.displaced]
        healthy = sum(task.healthy for task in fresh)
        counts = (
            f"{old}o" * bool(old),
            f"{len(fresh) - healthy}p" * (len(fresh) > healthy),
            f"{healthy}H" * bool(healthy),
        )
        return "+".join(filter(None, counts)) or "0"
