"""The operations, one module a resource."""

from __future__ import annotations

from controller.api.context import Handler

ECS_OPERATIONS: dict[str, Handler] = {}
"""Every ECS operation that this controller answers, by name."""
