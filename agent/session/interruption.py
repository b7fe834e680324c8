"""EC2's notices that a spot instance is about to go, and what follows: DRAINING.

The notice comes two minutes before the end; a rebalance recommendation may come earlier, when the end becomes
likely. The tasks of services are so replaced elsewhere while those here still run.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from agent.host.instance_metadata import InstanceMetadata, MetadataUnavailable
from agent.session.api import ApiError, Unreachable

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 2.0
"""amazon-ecs-agent looks every second, AWS advises five."""
_ACTION = "meta-data/spot/instance-action"
_REBALANCE = "meta-data/events/recommendations/rebalance"
_ENDS = frozenset({"hibernate", "stop", "terminate"})


class _Action(msgspec.Struct, frozen=True, gc=False):
    action: str
    time: str = ""


class InterruptionWatch:
    """Looks for notices for ever, and drains the container instance at the first."""

    def __init__(
        self,
        metadata: InstanceMetadata,
        container_instance: Callable[[], str | None],
        drain: Callable[[str], Awaitable[None]],
        *,
        heed_action: bool,
        heed_rebalance: bool,
    ) -> None:
        """``container_instance`` gives the ARN once there is one; ``drain`` sets that to DRAINING.

        ``heed_action`` and ``heed_rebalance`` say which of the notices count.
        """
        self._metadata = metadata
        self._container_instance = container_instance
        self._drain = drain
        self._heed_action = heed_action
        self._heed_rebalance = heed_rebalance
        self._drained: str | None = None
        self._readable = True

    async def run(self) -> None:
        """Look every ``LOOK_EVERY_S`` seconds. A machine that registers anew is drained anew."""
        while True:
            arn = self._container_instance()
            if arn is not None and arn != self._drained and (why := await self._notice()) is not None:
                await self._heed(arn, why)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _notice(self) -> str | None:
        """The notice that is given, in words; None if there is none."""
        try:
            why = await self._read_notice()
        except (MetadataUnavailable, msgspec.DecodeError) as error:
            if self._readable:
                log.warning("notices_not_readable", error=str(error), retry_in_s=LOOK_EVERY_S)
            self._readable = False
            return None
        self._readable = True
        return why

    async def _read_notice(self) -> str | None:
        if self._heed_action and (text := await self._metadata.get(_ACTION)):
            notice = msgspec.json.decode(text, type=_Action)
            if notice.action in _ENDS:
                return f"spot interruption: {notice.action} at {notice.time}"
        if self._heed_rebalance and await self._metadata.get(_REBALANCE):
            return "rebalance recommendation"
        return None

    async def _heed(self, arn: str, why: str) -> None:
        try:
            await self._drain(arn)
        except (ApiError, Unreachable) as error:
            log.warning("draining_not_accepted", reason=why, error=str(error), retry_in_s=LOOK_EVERY_S)
        else:
            self._drained = arn
            log.warning("draining", reason=why, container_instance_arn=arn)
