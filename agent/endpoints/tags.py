"""The tags that task metadata tells on request, looked up at the controller."""

import asyncio
from collections.abc import Callable

import structlog

from agent.endpoints.metadata import TagLookup
from agent.endpoints.task_protection import Call
from agent.engine.book import TaskRecord
from agent.session.api import ApiError, Unreachable

log = structlog.get_logger(__name__)


class Tags:
    """Looks up the tags of a task and of this container instance."""

    def __init__(self, call: Call, container_instance: Callable[[], str | None]) -> None:
        """``container_instance`` gives the ARN once the instance has registered."""
        self._call = call
        self._container_instance = container_instance

    async def of(self, record: TaskRecord) -> tuple[TagLookup, TagLookup]:
        """Both lookups; one that failed says why."""
        return await asyncio.gather(
            self._look_up("ContainerInstanceTags", self._container_instance() or ""),
            self._look_up("TaskTags", record.plan.arn),
        )

    async def _look_up(self, field: str, arn: str) -> TagLookup:
        try:
            answer = await self._call("ListTagsForResource", {"resourceArn": arn})
        except ApiError as error:
            log.warning("tags_refused", resource=arn, code=error.code, message=error.message)
            return TagLookup(
                field, arn, error_code=error.code, error_message=error.message, status_code=error.status
            )
        except Unreachable as error:
            log.warning("tags_not_answered", resource=arn, reason=str(error))
            return TagLookup(field, arn, error_message=str(error))
        return TagLookup(field, arn, {tag["key"]: tag.get("value") or "" for tag in answer.get("tags") or ()})
