"""A container engine that acts late, and whose events are heard twice, out of turn or never."""

from typing import Literal

import msgspec

from agent.engine.states import (
    Command,
    CreateContainer,
    Created,
    CreateFailed,
    Event,
    Observed,
    PrepareResources,
    Pulled,
    PullFailed,
    PullImage,
    ResourcesFailed,
    ResourcesReady,
    StartContainer,
    Started,
    StartFailed,
    StopContainer,
    StopFailed,
    Vanished,
    WatchStartTimeout,
)
from tests.unit.engine.builders import inspection

Action = Literal["start", "die", "destroy"]


class Container:
    """A container as the engine has it."""

    def __init__(self) -> None:
        self.state: Literal["CREATED", "RUNNING", "STOPPED"] = "CREATED"
        self.started_at = 0.0
        self.finished_at = 0.0
        self.exit_code = 0
        self.starts_asked_for = 0
        self.runs_unasked = False
        """It was started by somebody else, or by a call that had been given up."""


class Told(msgspec.Struct, frozen=True):
    """An event of the engine."""

    action: Action
    name: str
    exit_code: int = 0


class FaultyEngine:
    """The containers, the events not heard yet, and the time."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.events: list[Told] = []
        self.now = 10.0

    def running(self) -> set[str]:
        """The names of the containers that run."""
        return {name for name, container in self.containers.items() if container.state == "RUNNING"}

    def look(self, name: str) -> Event:
        """What an inspection says now."""
        self.now += 1
        container = self.containers.get(name)
        if container is None:
            return Vanished(at=self.now, container=name)
        seen = inspection(
            name,
            container.state,
            exit_code=container.exit_code if container.state == "STOPPED" else None,
            ever_started=container.started_at > 0,
            started_at=container.started_at,
            finished_at=container.finished_at,
        )
        return Observed(at=self.now, container=name, inspection=seen)

    def start(self, name: str, *, unasked: bool = False) -> None:
        """Begin a life of a container that does not run."""
        container = self.containers[name]
        if container.state != "RUNNING":
            self.now += 1
            container.state, container.started_at, container.runs_unasked = "RUNNING", self.now, unasked
            container.starts_asked_for += 0 if unasked else 1
            self.events.append(Told("start", name))

    def end(self, name: str, exit_code: int) -> None:
        """End a container's process."""
        container = self.containers[name]
        self.now += 1
        container.state, container.finished_at, container.exit_code = "STOPPED", self.now, exit_code
        self.events.append(Told("die", name, exit_code))

    def remove(self, name: str) -> None:
        """Somebody removes a container by force."""
        if self.containers[name].state == "RUNNING":
            self.end(name, 137)
        del self.containers[name]
        self.events.append(Told("destroy", name))

    def carry_out(self, command: Command, *, well: bool = True, unasked: bool = False) -> Event | None:
        """Do what a command says; the true answer to it. ``well`` decides where the engine may refuse."""
        self.now += 1
        if isinstance(command, PrepareResources):
            return ResourcesReady(at=self.now) if well else ResourcesFailed(at=self.now, reason="no")
        name = command.container
        match command:
            case PullImage():
                failed = PullFailed(at=self.now, container=name, reason="no")
                return Pulled(at=self.now, container=name) if well else failed
            case CreateContainer():
                if not well:
                    return CreateFailed(at=self.now, container=name, reason="no")
                self.containers.setdefault(name, Container())
                return Created(at=self.now, container=name, docker_id=f"id-{name}")
            case StartContainer():
                if not well or name not in self.containers:
                    return StartFailed(at=self.now, container=name, reason="no")
                self.start(name, unasked=unasked)
                return Started(at=self.now, container=name, docker_id=f"id-{name}")
            case StopContainer():
                if name in self.running():
                    self.end(name, 137)
                return self.look(name)
            case WatchStartTimeout():
                return None

    def given_up(self, command: Command) -> Event | None:
        """The answer to a command that the engine did not answer in time."""
        self.now += 1
        if isinstance(command, PrepareResources):
            return ResourcesFailed(at=self.now, reason="late")
        name = command.container
        match command:
            case PullImage():
                return PullFailed(at=self.now, container=name, reason="late")
            case CreateContainer():
                return CreateFailed(at=self.now, container=name, reason="late")
            case StartContainer():
                return StartFailed(at=self.now, container=name, reason="late", may_run=True)
            case StopContainer():
                return StopFailed(at=self.now, container=name, reason="late")
            case WatchStartTimeout():
                return None
