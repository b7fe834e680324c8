"""Scale-in protection that a task asks for itself: passed on to the controller, in the name of its role."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog

from agent.engine.book import TaskRecord
from agent.engine.role_credentials import RoleCredentials
from agent.protocol.signing import Credentials
from agent.session.api import ApiError, Unreachable

log = structlog.get_logger(__name__)

CALL_TIMEOUT_S = 4.0
Answer = tuple[dict[str, Any], int]


class Call(Protocol):
    """A call of the controller's API; ``agent.session.api.ControlPlaneClient.call`` is the real one."""

    def __call__(
        self,
        operation: str,
        request: Mapping[str, Any],
        *,
        credentials: Credentials | None = None,
        timeout_s: float = ...,
    ) -> Awaitable[dict[str, Any]]: ...


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to change protection."""

    ProtectionEnabled: bool | None = None
    ExpiresInMinutes: int | None = None


class TaskProtection:
    """Reads and changes the protection of the task that asks."""

    def __init__(
        self, call: Call, credentials: RoleCredentials, find: Callable[[str], TaskRecord | None]
    ) -> None:
        """``find`` gives the task of a container by the id in its environment."""
        self._call = call
        self._credentials = credentials
        self._find = find

    async def read(self, container_id: str) -> Answer:
        """Body and status for a GET."""
        record = self._find(container_id)
        if record is None:
            return _not_found()
        return await self._pass_on(record, "GetTaskProtection", {})

    async def change(self, container_id: str, content: bytes) -> Answer:
        """Body and status for a PUT."""
        try:
            wish = msgspec.json.decode(content, type=Wish)
        except msgspec.DecodeError:
            message = "UpdateTaskProtection: failed to decode request"
            return _error("", "InvalidParameterException", message, 400)
        record = self._find(container_id)
        if record is None:
            return _not_found()
        if wish.ProtectionEnabled is None:
            message = "Invalid request: does not contain 'ProtectionEnabled' field"
            return _error(record.plan.arn, "InvalidParameterException", message, 400)
        members: dict[str, Any] = {"protectionEnabled": wish.ProtectionEnabled}
        if wish.ExpiresInMinutes is not None:
            members["expiresInMinutes"] = wish.ExpiresInMinutes
        return await self._pass_on(record, "UpdateTaskProtection", members)

    async def _pass_on(self, record: TaskRecord, operation: str, members: Mapping[str, Any]) -> Answer:
        arn = record.plan.arn
        held = self._credentials.of_task(arn, "TaskApplication")
        if held is None:
            message = "Invalid Request: no task IAM role credentials available for task"
            return _error(arn, "AccessDeniedException", message, 403)
        signed_by = Credentials(held.access_key_id or "", held.secret_access_key or "", held.session_token)
        request = {"cluster": record.definition.task_cluster_arn, "tasks": [arn], **members}
        try:
            answer = await self._call(operation, request, credentials=signed_by, timeout_s=CALL_TIMEOUT_S)
        except ApiError as error:
            log.warning("task_protection_refused", task=arn, code=error.code, message=error.message)
            return _error(arn, error.code, error.message, error.status)
        except Unreachable as error:
            log.warning("task_protection_not_answered", task=arn, reason=str(error))
            if isinstance(error.__cause__, TimeoutError):
                return _error(arn, "RequestCanceled", "Timed out calling ECS Task Protection API", 504)
            return _error(arn, "ServerException", str(error), 500)
        return _told(arn, answer)


def _told(arn: str, answer: Mapping[str, Any]) -> Answer:
    if failures := answer.get("failures"):
        failure = {name.capitalize(): failures[0].get(name) for name in ("arn", "detail", "reason")}
        return {"failure": failure}, 200
    if not (protected := answer.get("protectedTasks")):
        return _error(arn, "ServerException", "Unexpected error occurred", 500)
    protection = {
        "ExpirationDate": _time(protected[0].get("expirationDate")),
        "ProtectionEnabled": bool(protected[0].get("protectionEnabled")),
        "TaskArn": protected[0].get("taskArn"),
    }
    return {"protection": protection}, 200


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _not_found() -> Answer:
    return _error("", "ResourceNotFoundException", "Failed to find a task for the request", 404)


def _error(arn: str, code: str, message: str, status: int) -> Answer:
    error = {"Arn": arn, "Code": code, "Message": message}
    return {"error": error if arn else {"Code": code, "Message": message}}, status
