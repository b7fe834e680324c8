"""Where messages are seen as they pass. While nobody watches, a message costs one look at an empty set."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from agent.protocol.arn import last_segment
from agent.protocol.clock import Clock
from agent.protocol.envelope import MalformedFrame, split_signed_frame
from controller.api.context import Caller
from controller.state.entities import ContainerInstance, Task, task_key
from controller.state.kernel import State
from controller.wire.masking import masked
from controller.wire.records import Sender, Way, WireRecord

QUEUE = 2000
"""Records that may wait for one watcher; what comes beyond is dropped, and counted."""

_OF_AGENTS_ALONE = frozenset(
    {
        "DiscoverPollEndpoint",
        "RegisterContainerInstance",
        "SubmitAttachmentStateChanges",
        "SubmitContainerStateChange",
        "SubmitTaskStateChange",
    }
)
"""Calls that are an agent's whoever's key it uses."""

NOT_READ = "unreadable frame"
DEFAULT_CLUSTER = "default"


class ApiCall(msgspec.Struct, frozen=True):
    """An answered call of the API."""

    id: str
    caller: Caller
    operation: str
    code: str
    """`OK`, or the name of the error."""
    began_at: float
    """In epoch seconds."""
    request: bytes
    answer: bytes


class Watcher:
    """One who watches. `instance` is the id of the only one to be shown; empty: all."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._records: asyncio.Queue[WireRecord | None] = asyncio.Queue(QUEUE)
        self._dropped = 0

    def wants(self, instance: str) -> bool:
        """Whether messages of this container instance are shown."""
        return self._instance in ("", instance)

    def show(self, record: WireRecord) -> None:
        """Keep a record until it is asked for; drop it if too many wait."""
        if self._records.full():
            self._dropped += 1
            return
        self._records.put_nowait(replace(record, dropped=self._dropped) if self._dropped else record)
        self._dropped = 0

    def end(self) -> None:
        """Nothing comes any more, and what waits is lost: the controller ends."""
        while not self._records.empty():
            self._records.get_nowait()
        self._records.put_nowait(None)

    async def next(self) -> WireRecord | None:
        """The next record; None at the end."""
        return await self._records.get()


class WireTap:
    """Shows watchers what passes."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._watchers: set[Watcher] = set()
        self._connections = 0
        self._number = 0
        self._ended = False

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    @contextmanager
    def watching(self, instance: str = "") -> Iterator[Watcher]:
        """A watcher for as long as the context lasts."""
        watcher = Watcher(instance)
        if self._ended:
            watcher.end()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def end(self) -> None:
        """Send all watchers away, and those who come later."""
        self._ended = True
        for watcher in self._watchers:
            watcher.end()

    def connection(self, way: Way, instance: ContainerInstance) -> WireConnection:
        """What a connection tells its frames to."""
        self._connections += 1
        return WireConnection(self, way, self._connections, instance.cluster, instance.id)

    def frame(self, connection: WireConnection, sender: Sender, frame: str) -> None:
        """Show a frame that has passed."""
        kind, members = _decoded(frame)
        self._show(connection, sender, kind, members, self._clock.now())

    def call(self, call: ApiCall) -> None:
        """Show an agent's call of the API and its answer, if it can be told which instance it is about."""
        if call.caller.role != "agent" and call.operation not in _OF_AGENTS_ALONE:
            return
        asked, told = _members(call.request), _members(call.answer)
        cluster = last_segment(str(asked.get("cluster") or DEFAULT_CLUSTER))
        instance = call.caller.instance or self._instance_of(cluster, asked, told)
        if not instance:
            return
        line = WireConnection(self, "api", 0, cluster, instance)
        self._show(line, "agent", call.operation, asked, call.began_at, call.id)
        kind = call.operation if call.code == "OK" else call.code
        self._show(line, "controller", kind, told, self._clock.now(), call.id)

    def _instance_of(self, cluster: str, asked: dict[str, Any], told: dict[str, Any]) -> str | None:
        registered = told.get("containerInstance")
        named = (
            asked.get("containerInstanceArn")
            or asked.get("containerInstance")
            or (registered.get("containerInstanceArn") if isinstance(registered, dict) else None)
            or next(iter(asked.get("containerInstances") or ()), None)
        )
        if named:
            return last_segment(str(named))
        task = self._state.read().get(Task, task_key(cluster, last_segment(str(asked.get("task") or ""))))
        return None if task is None else task.instance

    def _show(
        self, line: WireConnection, sender: Sender, kind: str, members: Any, at: float, call: str = ""
    ) -> None:
        self._number += 1
        watchers = [watcher for watcher in self._watchers if watcher.wants(line.instance)]
        if not watchers:
            return
        record = WireRecord(
            number=self._number,
            at=at,
            way=line.way,
            connection=line.number,
            cluster=line.cluster,
            instance=line.instance,
            sender=sender,
            type=kind,
            message=masked(members),
            call=call,
        )
        for watcher in watchers:
            watcher.show(record)


class WireConnection:
    """One websocket, as the tap knows it."""

    __slots__ = ("_tap", "cluster", "instance", "number", "way")

    def __init__(self, tap: WireTap, way: Way, number: int, cluster: str, instance: str) -> None:
        self._tap = tap
        self.way = way
        self.number = number
        self.cluster = cluster
        self.instance = instance

    def passed(self, sender: Sender, frame: str) -> None:
        """Note a frame; nothing happens while nobody watches."""
        if self._tap.watched:
            self._tap.frame(self, sender, frame)


def _decoded(frame: str) -> tuple[str, Any]:
    """Type and members of a frame. Of one that cannot be read nothing is shown: it may hold anything."""
    try:
        _, body = split_signed_frame(frame)
        envelope = msgspec.json.decode(body)
    except (MalformedFrame, msgspec.DecodeError):
        return NOT_READ, {}
    if not isinstance(envelope, dict) or not isinstance(envelope.get("type"), str):
        return NOT_READ, {}
    return envelope["type"], envelope.get("message", {})


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError:
        return {}
    return members if isinstance(members, dict) else {}
