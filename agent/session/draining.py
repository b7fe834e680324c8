"""Taking this machine out of placement and back: UpdateContainerInstancesState for one's own instance."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

import structlog

from agent.engine.changes import KnownTask
from agent.identity import IdentityFile, IdentityNotSavedError
from agent.session.api import ApiError, ControlPlaneClient, Unreachable

log = structlog.get_logger(__name__)

_RETRY_S = 1.0
_LOOK_S = 0.2


async def drain(client: ControlPlaneClient, cluster: str, container_instance_arn: str) -> None:
    """Set the container instance to DRAINING; the controller then moves its service tasks elsewhere.

    Raises ``ApiError`` or ``Unreachable``.
    """
    await _set(client, cluster, container_instance_arn, "DRAINING")


async def _set(
    client: ControlPlaneClient,
    cluster: str,
    container_instance_arn: str,
    status: Literal["ACTIVE", "DRAINING"],
) -> None:
    operation = "UpdateContainerInstancesState"
    request = {"cluster": cluster, "containerInstances": [container_instance_arn], "status": status}
    answer = await client.call(operation, request)
    for failure in answer.get("failures") or ():
        raise ApiError(operation, str(failure.get("reason")), str(failure.get("detail") or ""), 200)


class DrainOnExit:
    """Empties the machine before the agent ends, and takes it back into placement when the agent returns.

    Draining moves the tasks of services. Tasks that were run by themselves are waited for, and left running
    when the time is up, as everything else that has not ended by then.
    """

    def __init__(
        self,
        client: ControlPlaneClient,
        cluster: str,
        identity: IdentityFile,
        known_tasks: Callable[[], Iterable[KnownTask]],
        patience_s: float,
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._identity = identity
        self._known_tasks = known_tasks
        self._patience_s = patience_s

    async def empty(self, hurry: asyncio.Event) -> None:
        """Drain, and wait until the controller knows that every task has ended; no longer than the patience,
        nor once ``hurry`` is set.
        """
        arn = self._identity.current.container_instance_arn
        if arn is None or not self._patience_s:
            return
        await self._note(drained=True)
        log.info("draining_before_the_end", container_instance_arn=arn, patience_s=self._patience_s)
        emptying = asyncio.create_task(self._empty(arn), name="drain on exit")
        hurried = asyncio.create_task(hurry.wait())
        try:
            await asyncio.wait(
                (emptying, hurried), timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (emptying, hurried):
                task.cancel()
            await asyncio.wait((emptying, hurried))
        left = [task.task_arn for task in self._left()]
        log.info("drained" if not left else "ends_with_tasks_left_running", tasks=left)

    async def _empty(self, arn: str) -> None:
        await self._insist(lambda: drain(self._client, self._cluster, arn))
        while self._left():
            await asyncio.sleep(_LOOK_S)

    def _left(self) -> list[KnownTask]:
        return [t for t in self._known_tasks() if (t.known_status, t.sent_status) != ("STOPPED", "STOPPED")]

    async def come_back(self) -> None:
        """Undo what the last end has done; to be called once the controller has accepted this machine."""
        arn = self._identity.current.container_instance_arn
        if arn is not None and self._identity.current.drained_on_exit:
            await self._insist(lambda: _set(self._client, self._cluster, arn, "ACTIVE"))
            await self._note(drained=False)
            log.info("active_again_after_draining_on_exit", container_instance_arn=arn)

    async def _note(self, *, drained: bool) -> None:
        try:
            await self._identity.update(drained_on_exit=drained)
        except IdentityNotSavedError as error:
            log.warning("drained_on_exit_not_noted", reason=str(error))

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await call()
            except (ApiError, Unreachable) as error:
                log.warning("state_of_instance_not_changed", error=str(error), retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
            else:
                return
