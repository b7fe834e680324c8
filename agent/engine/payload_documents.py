"""Parts of a payload that are JSON within JSON: ``dockerConfig`` and ``overrides``."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.protocol import acs


class InvalidTaskError(ValueError):
    """A task of a payload that makes no sense; the message says what."""


def docker_document(container: acs.Container, which: str) -> Mapping[str, Any]:
    """``dockerConfig.config`` or ``dockerConfig.hostConfig`` of a container, decoded; empty if absent.

    Raises ``InvalidTaskError`` if it is not a JSON object.
    """
    text = getattr(container.docker_config, which, None)
    if not text:
        return {}
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidTaskError(f"dockerConfig of container {container.name}: {error}") from error
    if not isinstance(document, dict):
        raise InvalidTaskError(f"dockerConfig of container {container.name} is not a JSON object")
    return document


def command_of(container: acs.Container) -> tuple[str, ...]:
    """The container's command, with its override applied.

    Raises ``InvalidTaskError`` for an override of anything else.
    """
    if not container.overrides:
        return container.command
    try:
        overrides = msgspec.json.decode(container.overrides, type=dict[str, tuple[str, ...] | None])
    except msgspec.DecodeError as error:
        raise InvalidTaskError(f"overrides of container {container.name}: {error}") from error
    if set(overrides) - {"command"}:
        raise InvalidTaskError(f"overrides of container {container.name} may hold only command")
    return overrides.get("command") or container.command
