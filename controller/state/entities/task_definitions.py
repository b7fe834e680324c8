"""Task definitions: families and their revisions."""

from __future__ import annotations

from typing import ClassVar, Literal

from controller.state.entities.record import Document, Entity, Tag

TaskDefinitionStatus = Literal["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"]


class TaskDefinitionFamily(Entity, frozen=True, kw_only=True):
    """A family's revision counter. It survives the deletion of every revision, so that a number is never used
    twice."""

    kind: ClassVar[str] = "task-definition-family"

    name: str
    last_revision: int

    @property
    def key(self) -> str:
        return self.name


class TaskDefinition(Entity, frozen=True, kw_only=True):
    """One revision of a task definition."""

    kind: ClassVar[str] = "task-definition"

    family: str
    revision: int
    status: TaskDefinitionStatus = "ACTIVE"
    document: Document
    """The normalised RegisterTaskDefinition input (containerDefinitions, volumes, networkMode, cpu, memory,
    ...), defaults filled."""
    requires_attributes: tuple[str, ...] = ()
    compatibilities: tuple[str, ...] = ()
    registered_at: float
    registered_by: str = ""
    deregistered_at: float | None = None
    delete_requested_at: float | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def key(self) -> str:
        return task_definition_key(self.family, self.revision)


def task_definition_key(family: str, revision: int) -> str:
    """Key of a task definition revision, as users write it."""
    return f"{family}:{revision}"
