"""Writes `controller/api/COMPATIBILITY.md` from the service model and from what the controller answers.

`python -m tests.conformance.compatibility` writes the file; a test fails when it is out of date.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from controller.api.operations import aws_only
from tests.conformance.front_door import Door
from tests.conformance.model_members import IGNORED, IMPLEMENTED, NOTES, sample
from tests.support.members import REPOSITORY
from tests.unit.api.output_shapes import ecs_model

DOCUMENT = REPOSITORY / "controller/api/COMPATIBILITY.md"

_HEADER = """\
# Compatibility with ECS, operation by operation

Written by `python -m tests.conformance.compatibility` from the service model and the controller's answers.

- **honoured**: does what ECS says it does.
- **ignored**: accepted, checked, kept and shown again where ECS shows it; nothing follows from it.
- **refused**: `UnsupportedFeatureException`, with the member's name and what to use instead.
- **so far**: what of an operation is still to come.
- An operation that is **refused** as a whole is one of AWS's own infrastructure, or is still to come.
"""

_CONTAINER = {"name": "web", "image": "web:1", "memory": 16}
_GROUP = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:1:autoScalingGroupName/g"}
_PROBES: dict[str, dict[str, Any]] = {
    "CreateCapacityProvider": {"name": "new"},
    "CreateService": {"serviceName": "new", "taskDefinition": "web", "desiredCount": 0},
    "CreateTaskSet": {"service": "external", "cluster": "default", "taskDefinition": "web"},
    "RegisterTaskDefinition": {"family": "new", "containerDefinitions": [_CONTAINER]},
    "RunTask": {"taskDefinition": "web"},
    "StartTask": {"taskDefinition": "web", "containerInstances": ["0" * 32]},
    "UpdateCapacityProvider": {"name": "hosts"},
    "UpdateService": {"service": "web"},
}
"""Requests that are right, to which one member after the other is added."""

_NOT_HERE = " is not available on this controller"

Refused = dict[str, str]
"""Members that an operation refuses, as paths, with what it says to do instead."""

Note = Callable[[str, dict[str, Any]], None]


async def _refused_members(operation: str, note: Note) -> Refused:
    """Members that an operation refuses as a feature that is not here."""
    with tempfile.TemporaryDirectory() as directory:
        door = await Door.open(Path(directory))
        try:
            await door("RegisterTaskDefinition", family="web", containerDefinitions=[_CONTAINER])
            await door("CreateService", serviceName="web", taskDefinition="web", desiredCount=0)
            await door("CreateService", serviceName="external", deploymentController={"type": "EXTERNAL"})
            await door("CreateCapacityProvider", name="hosts", autoScalingGroupProvider=_GROUP)
            refused: Refused = {}
            for members in _probes(operation):
                refused |= await _probe(door, operation, members, note)
            for label, members in _choices(operation, refused):
                refused |= await _probe_choice(door, operation, label, members)
            return refused
        finally:
            await door.close()


def _probes(operation: str) -> Iterator[dict[str, Any]]:
    """No member, then each one with a full value; of structures each inner member by itself, too."""
    yield {}
    shape = ecs_model().operation_model(operation).input_shape
    for name, inner in shape.members.items():
        if name in _PROBES.get(operation, {}):
            continue
        yield {name: sample(inner)}
        if inner.type_name == "structure":
            for part, value in sample(inner).items():
                yield {name: {part: value}}


def _choices(operation: str, refused: Refused) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each value of members, and of those inside of structures, that have a choice and are not refused."""
    shape = ecs_model().operation_model(operation).input_shape
    for name, inner in shape.members.items():
        if name in refused or name in _PROBES.get(operation, {}):
            continue
        for value in getattr(inner, "enum", ()):
            yield f"{name}={value}", {name: value}
        for part, choice in getattr(inner, "members", {}).items():
            if f"{name}.{part}" not in refused:
                for value in getattr(choice, "enum", ()):
                    yield f"{name}.{part}={value}", {name: {part: value}}


async def _probe_choice(door: Door, operation: str, label: str, members: dict[str, Any]) -> Refused:
    """What is refused of a choice, under its label."""
    request = {**_PROBES.get(operation, {}), **members}
    answer = await door.call(operation, json.dumps(request).encode())
    if answer.status == 200 or answer.document["__type"] != "UnsupportedFeatureException":
        return {}
    _, _, instead = answer.document["message"].partition(_NOT_HERE)
    return {label: instead.lstrip(": ").rstrip(".")} if instead else {}


async def _probe(door: Door, operation: str, members: dict[str, Any], note: Note) -> Refused:
    """What is refused of a request with these members; the operation itself where they are none."""
    request = {**_PROBES.get(operation, {}), **members}
    answer = await door.call(operation, json.dumps(request).encode())
    if answer.status == 200 or answer.document["__type"] != "UnsupportedFeatureException":
        return {}
    note(operation, request)
    message = answer.document["message"]
    if not members:
        return {operation: message}
    name, _, instead = message.partition(_NOT_HERE)
    (member,) = members
    return {name: instead.lstrip(": ").rstrip(".")} if name.partition(".")[0] == member else {}


async def document(note: Note = lambda _operation, _request: None) -> str:
    """The text of the document as it should be. `note` hears of each request that was refused."""
    parts = [_HEADER]
    for operation in sorted(ecs_model().operation_names):
        parts.append(f"## {operation}\n")
        if operation in aws_only.EMPTY_LISTS:
            parts.append("Always answers an empty list: there are no such resources here.\n")
        elif operation in aws_only.REFUSED:
            parts.append(f"**refused**: {aws_only.REFUSED[operation]}.\n")
        elif operation not in IMPLEMENTED:
            parts.append("**refused**: still to come.\n")
        else:
            parts.append(_members(operation, await _refused_members(operation, note)))
    return "\n".join(parts)


def _members(operation: str, refused: Refused) -> str:
    if operation in refused:
        return f"**refused**: {refused[operation]}\n"
    shape = ecs_model().operation_model(operation).input_shape
    ignored = dict(_ignored_inside(shape))
    honoured = [f"`{name}`" for name in shape.members if name not in refused and name not in ignored]
    lines = [f"- **honoured**: {', '.join(honoured) or 'it takes nothing'}"]
    lines += [f"- **ignored**: {names} {why}" for why, names in _by_reason(ignored)]
    lines += [f"- **refused**: {names}: {why}" for why, names in _by_reason(refused)]
    if operation in NOTES:
        lines.append(f"- **so far**: {NOTES[operation]}")
    return "\n".join(lines) + "\n"


def _by_reason(reasons: dict[str, str]) -> list[tuple[str, str]]:
    """Each reason with the members that it is about."""
    members: dict[str, list[str]] = {}
    for name in sorted(reasons):
        members.setdefault(reasons[name], []).append(f"`{name}`")
    return [(why, ", ".join(names)) for why, names in members.items()]


def _ignored_inside(shape: Any, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Ignored members below a shape, as paths from it."""
    while shape.type_name == "list":
        shape = shape.member
    if shape.type_name != "structure" or shape.name in seen:
        return
    for name, inner in shape.members.items():
        why = IGNORED.get(f"{shape.name}.{name}")
        if why:
            yield name, why
        else:
            yield from ((f"{name}.{part}", why) for part, why in _ignored_inside(inner, seen | {shape.name}))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    DOCUMENT.write_text(asyncio.run(document()))
