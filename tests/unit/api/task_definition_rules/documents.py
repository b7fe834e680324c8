"""Task definitions to break and to keep."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def container(**changes: Any) -> Document:
    """A container that breaks no rule."""
    return {"name": "web", "image": "web:1", "memory": 64, **changes}


def definition(*containers: Document, **members: Any) -> Document:
    """A task definition of the given containers, or of one."""
    return {"family": "web", "containerDefinitions": list(containers) or [container()], **members}


def fargate(*containers: Document, **members: Any) -> Document:
    """A task definition that is valid for Fargate."""
    return definition(
        *containers,
        **{
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "requiresCompatibilities": ["FARGATE"],
            **members,
        },
    )
