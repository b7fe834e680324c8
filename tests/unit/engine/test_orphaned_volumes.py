"""Volumes of tasks that nobody knows any more."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from agent.checkpoint import Checkpoint
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import CannotRemoveVolumeError
from agent.engine.orphaned_volumes import OrphanedVolumes
from agent.engine.transitions import initial_state
from tests.unit.engine.builders import ARN, acs_task, plan

TASK = "com.amazonaws.ecs.task-arn"


class Store:
    """An engine's volumes, some of them mounted."""

    def __init__(self) -> None:
        self.asked_for = ""
        self.volumes: dict[str, Mapping[str, str]] = {
            "known": {TASK: ARN},
            "mounted": {TASK: f"{ARN}1"},
            "orphaned": {TASK: f"{ARN}2"},
            "of no task": {},
        }

    async def list_volumes(self, label: str) -> dict[str, Mapping[str, str]]:
        self.asked_for = label
        return dict(self.volumes)

    async def remove_volume(self, name: str) -> None:
        if name == "mounted":
            raise CannotRemoveVolumeError("volume is in use")
        del self.volumes[name]


async def test_what_belongs_to_no_task_and_is_not_in_use_goes(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "agent.db")
    book = TaskBook(checkpoint, lambda *_: None, lambda _: None)
    book.add(TaskRecord(acs_task(), plan(), initial_state(plan())))
    store = Store()
    await OrphanedVolumes(cast("Docker", store), book, "me").remove()
    await checkpoint.close()

    assert store.asked_for == "homeport.agent=me"
    assert set(store.volumes) == {"known", "mounted", "of no task"}
