"""Volumes of tasks that nobody knows any more: those of a task that was found again by its containers alone
are in no plan, and nothing else would ever remove them.
"""

import structlog

from agent.engine.book import TaskBook
from agent.engine.container_body import OWNER_LABEL, TASK_ARN_LABEL
from agent.engine.docker import Docker
from agent.engine.errors import EngineError

log = structlog.get_logger(__name__)


class OrphanedVolumes:
    """Finds them by their labels."""

    def __init__(self, docker: Docker, book: TaskBook, owner: str) -> None:
        """``owner`` is the value of the label of this agent's volumes."""
        self._docker = docker
        self._book = book
        self._label = f"{OWNER_LABEL}={owner}"

    async def remove(self) -> None:
        """Remove those that belong to no task and that no container uses. Raises ``EngineError`` if the
        engine does not list its volumes.
        """
        for name, labels in (await self._docker.list_volumes(self._label)).items():
            task_arn = labels.get(TASK_ARN_LABEL)
            if task_arn is None or self._book.get(task_arn) is not None:
                continue
            try:
                await self._docker.remove_volume(name)
            except EngineError as error:
                log.info("volume_stays", volume=name, task=task_arn, reason=error.reason)
            else:
                log.info("orphaned_volume_removed", volume=name, task=task_arn)
