"""Where the websockets are: DiscoverPollEndpoint and its cache."""

import msgspec
import structlog

from agent.protocol.clock import Clock
from agent.session.api import ApiError, ControlPlaneClient, Unreachable

log = structlog.get_logger(__name__)

CACHED_FOR_S = 12 * 3600.0
"""As long as amazon-ecs-agent keeps an answer."""


class PollEndpoints(msgspec.Struct, frozen=True, gc=False):
    """URLs below which the websockets are; None where the controller offers none."""

    acs: str | None
    telemetry: str | None


class Discovery:
    """Asks the controller, and remembers the answer for twelve hours or until it proves useless."""

    def __init__(self, client: ControlPlaneClient, clock: Clock, cluster: str) -> None:
        self._client = client
        self._clock = clock
        self._cluster = cluster
        self._known: dict[str, tuple[float, PollEndpoints]] = {}
        """Container instance ARN to the monotonic time of expiry and the answer."""

    async def endpoints(self, container_instance_arn: str) -> PollEndpoints:
        """The endpoints for this container instance.

        If the controller cannot be asked, the last answer is used, however old; without one, raises
        ``ApiError`` or ``Unreachable``.
        """
        known = self._known.get(container_instance_arn)
        if known and self._clock.monotonic() < known[0]:
            return known[1]
        try:
            answer = await self._client.call(
                "DiscoverPollEndpoint",
                {"cluster": self._cluster, "containerInstance": container_instance_arn, "zoneId": ""},
            )
        except (ApiError, Unreachable) as error:
            if known is None:
                raise
            log.info("endpoints_not_refreshed", error=str(error))
            return known[1]
        endpoints = PollEndpoints(answer.get("endpoint"), answer.get("telemetryEndpoint"))
        self._known[container_instance_arn] = (self._clock.monotonic() + CACHED_FOR_S, endpoints)
        return endpoints

    def doubt(self, container_instance_arn: str) -> None:
        """Ask again the next time: nobody answers at the endpoints that were given."""
        known = self._known.get(container_instance_arn)
        if known:
            self._known[container_instance_arn] = (self._clock.monotonic(), known[1])
