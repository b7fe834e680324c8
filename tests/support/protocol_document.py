"""Writes the generated parts of `agent/protocol/README.md`: state diagrams, timers, members of shapes.

`python -m tests.support.protocol_document` writes them; a test fails when one is out of date. What lies
between `<!-- generated: NAME -->` and `<!-- end: NAME -->` comes from here, all else is written by hand.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from itertools import product

import msgspec
from msgspec.structs import replace

from agent.engine import states
from agent.engine.container_transitions import TRANSITIONS
from agent.engine.janitor import TOMBSTONES_KEPT_S
from agent.engine.records import ContainerInspection, DockerState
from agent.engine.states import ContainerEvent, ContainerPlan, ContainerState, RestartPlan, Status
from agent.protocol import acs, extensions, tcs
from agent.session import (
    acs_rules,
    acs_session,
    backoff,
    discovery,
    reconnect,
    secrets_exchange,
    state_changes,
    tcs_session,
    telemetry,
)
from controller.config import ControllerConfig
from controller.gateway import acs_session as gateway_session
from controller.gateway import delivery, gateway, liveness
from controller.gateway import socket as gateway_socket
from controller.gateway import tcs_session as gateway_telemetry
from controller.state.lifecycle import DISPOSITION_EDGES, ENDED_DISPOSITIONS, REPORT_RANK
from tests.support.members import REPOSITORY

DOCUMENT = REPOSITORY / "agent/protocol/README.md"

MESSAGES: tuple[type[msgspec.Struct], ...] = (
    *acs.TO_AGENT,
    *acs.TO_CONTROLLER,
    *tcs.TO_AGENT,
    *tcs.TO_CONTROLLER,
    *extensions.TO_AGENT,
    *extensions.TO_CONTROLLER,
)
"""Every message of both websockets."""

_AT = 1000.0
_PLAN = ContainerPlan(name="web", docker_name="ecs-web", stop_timeout=30.0)
_PLANS = (_PLAN, replace(_PLAN, restart=RestartPlan(ignored_exit_codes=(), attempt_period=0.0)))


def _inspection(state: DockerState, *, ever_started: bool) -> ContainerInspection:
    return ContainerInspection(
        docker_id="1",
        name="ecs-web",
        image="web:1",
        image_id="sha256:1",
        state=state,
        exit_code=0 if state == "STOPPED" else None,
        error="",
        oom_killed=False,
        ever_started=ever_started,
        created_at=_AT,
        started_at=_AT if ever_started else None,
        finished_at=_AT if state == "STOPPED" else None,
        pid=0,
        health="UNKNOWN",
        stop_signal="SIGTERM",
        ports=(),
        labels={},
    )


_EVENTS: tuple[ContainerEvent, ...] = (
    states.Pulled(at=_AT, container="web"),
    states.PullFailed(at=_AT, container="web", reason="no"),
    states.Created(at=_AT, container="web", docker_id="1"),
    states.CreateFailed(at=_AT, container="web", reason="no"),
    states.Started(at=_AT, container="web", docker_id="1"),
    states.StartFailed(at=_AT, container="web", reason="no"),
    states.StartFailed(at=_AT, container="web", reason="no answer", may_run=True),
    states.StopFailed(at=_AT, container="web", reason="no"),
    states.Observed(at=_AT, container="web", inspection=_inspection("CREATED", ever_started=False)),
    states.Observed(at=_AT, container="web", inspection=_inspection("RUNNING", ever_started=True)),
    states.Observed(at=_AT, container="web", inspection=_inspection("STOPPED", ever_started=True)),
    states.Died(at=_AT, container="web", exit_code=1),
    states.Vanished(at=_AT, container="web"),
    states.HealthChanged(at=_AT, container="web", health="HEALTHY"),
)
"""One event of every kind, and of every form that leads elsewhere."""

_TIMERS: tuple[tuple[str, str, float], ...] = (
    ("controller", "between two heartbeats of a small fleet", ControllerConfig.heartbeat_interval_s),
    ("controller", "between two heartbeats at most, however large the fleet", liveness.MAX_INTERVAL_S),
    ("controller", "an unacknowledged payload is sent again, then doubling", ControllerConfig.resend_after_s),
    ("controller", "a closed connection counts as connected still", liveness.CLOSED_GRACE_S),
    ("controller", "our agent may take to tell its inventory", gateway_session.INVENTORY_PATIENCE_S),
    ("controller", "an agent may take to acknowledge the manifest", gateway_session.MANIFEST_PATIENCE_S),
    (
        "controller",
        "stop candidates may come after that acknowledgement",
        gateway_session.VERIFICATION_PATIENCE_S,
    ),
    ("controller", "an agent may leave a frame unread", gateway_socket.SEND_TIMEOUT_S),
    ("controller", "of silence on TCS, then a heartbeat", gateway_telemetry.HEARTBEAT_INTERVAL_S),
    ("agent", "of silence on ACS without an announced interval", acs_rules.UNANNOUNCED_PATIENCE_S),
    ("agent", "the first wait before a reconnect lasts at most", backoff.FIRST_LIMIT_S),
    ("agent", "later waits, which double, last at most", backoff.LIMIT_S),
    ("agent", "a connection held, and the waits begin anew", reconnect.SETTLED_AFTER_S),
    ("agent", "a connection lives, and some more at random", reconnect.AGE_LIMIT_S),
    ("agent", "the answer of DiscoverPollEndpoint is kept", discovery.CACHED_FOR_S),
    ("agent", "between two publications on TCS", tcs_session.PUBLISH_INTERVAL_S),
    ("agent", "of silence on TCS, then the connection is given up", tcs_session.PATIENCE_S),
    ("agent", "an answer with secrets may take", secrets_exchange.ANSWER_PATIENCE_S),
    (
        "agent",
        "another machine must hold the identity before a copy gives it up",
        acs_session.IDENTITY_PATIENCE_S,
    ),
    ("agent", "the ARN of an ended task is remembered, and not started again", TOMBSTONES_KEPT_S),
)

_LIMITS: tuple[tuple[str, str, int], ...] = (
    ("controller", "tasks in one payload", delivery.TASKS_PER_PAYLOAD),
    ("controller", "resends of a payload on one connection", delivery.MAX_RESENDS),
    ("controller", "heartbeat intervals of silence, then disconnected", liveness.SILENT_INTERVALS),
    ("controller", "heartbeat intervals of silence, then cut", liveness.DEAD_INTERVALS),
    ("controller", "heartbeats a second over the fleet", int(liveness.MAX_HEARTBEATS_PER_S)),
    ("controller", "connections finding out at once what their agents run", gateway.MAX_SYNCHRONISING),
    ("controller", "bytes of a frame from an agent", gateway_socket.MAX_FRAME_BYTES),
    ("agent", "announced heartbeat intervals of silence, then reconnect", acs_rules.HEARTBEATS_MISSED),
    ("agent", "Submit calls at a time", state_changes.IN_FLIGHT_LIMIT),
    ("agent", "tasks in one publication on TCS", telemetry.TASKS_PER_MESSAGE),
    ("agent", "windows of use kept while there is no connection", tcs_session.WINDOWS_KEPT),
)


def container_edges() -> dict[tuple[Status, Status], list[str]]:
    """Where the container's table leads, by running its handlers: from and to, with the kinds of events."""
    edges: dict[tuple[Status, Status], list[str]] = {}
    for (known, kind), handler in TRANSITIONS.items():
        for event, plan, state in product(_EVENTS, _PLANS, _states(known)):
            if type(event) is kind:
                after, _ = handler(plan, state, event)
                kinds = edges.setdefault((known, after.known), [])
                if kind.__name__ not in kinds:
                    kinds.append(kind.__name__)
    return edges


def _states(known: Status) -> Iterator[ContainerState]:
    state = ContainerState(known=known, ran=known is Status.RUNNING)
    yield state
    yield replace(state, restarting=True)


def _container_diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> NONE"]
    for (before, after), kinds in sorted(container_edges().items()):
        if before is not after:
            lines.append(f"    {before.name} --> {after.name}: {', '.join(kinds)}")
    return "\n".join([*lines, "    STOPPED --> [*]", "```"])


def _table_of_events() -> str:
    lines = [f"| event | {' | '.join(status.name for status in Status)} |", f"|---|{'---|' * len(Status)}"]
    edges = container_edges()
    for kind in dict.fromkeys(type(event) for event in _EVENTS):
        cells = [_cell(status, kind, edges) for status in Status]
        lines.append(f"| `{kind.__name__}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(status: Status, kind: type, edges: dict[tuple[Status, Status], list[str]]) -> str:
    if (status, kind) not in TRANSITIONS:
        return "impossible"
    targets = [
        after
        for (before, after), kinds in sorted(edges.items())
        if before is status and kind.__name__ in kinds
    ]
    return " or ".join("stays" if after is status else after.name for after in targets)


def _report_diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> NONE"]
    for before, rank in REPORT_RANK.items():
        lines += [f"    {before} --> {after}" for after, other in REPORT_RANK.items() if other > rank]
    return "\n".join([*lines, "    STOPPED --> [*]", "```"])


def _disposition_diagram() -> str:
    order = list(DISPOSITION_EDGES)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> NONE"]
    for before, allowed in DISPOSITION_EDGES.items():
        lines += [f"    {before} --> {after}" for after in sorted(allowed, key=order.index)]
    lines += [f"    {ended} --> [*]" for ended in order if ended in ENDED_DISPOSITIONS]
    return "\n".join([*lines, "```"])


def _timers() -> str:
    lines = ["| side | seconds | |", "|---|---|---|"]
    lines += [f"| {side} | {seconds:,g} | {what} |" for side, what, seconds in _TIMERS]
    lines += ["", "| side | at most | |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {side} | {limit:,} | {what} |" for side, what, limit in _LIMITS)])


def _shapes() -> str:
    """Every shape below the messages, with the wire's name and the type of each member."""
    lines = []
    for shape in _shapes_below(MESSAGES):
        members = ", ".join(f"`{name}` {kind}" for name, kind in members_of(shape))
        lines.append(f"- **{shape.__name__}**: {members}")
    return "\n".join(dict.fromkeys(lines))


def members_of(shape: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """The members of a shape as the wire names them, each with its type in a word."""
    return [(field.encode_name, _type_name(field.type)) for field in msgspec.structs.fields(shape)]


def _type_name(kind: object) -> str:
    arguments = [each for each in typing.get_args(kind) if each not in (type(None), Ellipsis)]
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _type_name(arguments[0])
    if origin is typing.Literal:
        return "/".join(str(each) for each in arguments)
    if origin is tuple:
        return f"[{_type_name(arguments[0])}]"
    if origin is dict:
        return "{string: string}"
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))  # type: ignore[call-overload, no-any-return]


def _shapes_below(roots: Iterable[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    found: dict[type[msgspec.Struct], None] = {}
    waiting = [kind for root in roots for kind in _structs_in(root)]
    while waiting:
        shape = waiting.pop(0)
        if shape not in found:
            found[shape] = None
            waiting += _structs_in(shape)
    return sorted(found, key=lambda shape: shape.__name__)


def _structs_in(shape: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    kinds = []
    for field in msgspec.structs.fields(shape):
        for kind in (field.type, *typing.get_args(field.type)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                kinds.append(kind)
    return kinds


PARTS: dict[str, Callable[[], str]] = {
    "container states": _container_diagram,
    "container events": _table_of_events,
    "task reports": _report_diagram,
    "task dispositions": _disposition_diagram,
    "timers": _timers,
    "shapes": _shapes,
}


def written_anew(document: str) -> str:
    """The document with its generated parts as they ought to be.

    Raises:
        ValueError: it has no place for one of them.
    """
    for name, generate in PARTS.items():
        begin, end = f"<!-- generated: {name} -->\n", f"\n<!-- end: {name} -->"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end.strip())}", re.DOTALL)
        part = begin + generate() + end
        document, found = place.subn(lambda _, part=part: part, document)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"{DOCUMENT.name} has {found} places for {name!r} instead of one")
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(written_anew(DOCUMENT.read_text()))
