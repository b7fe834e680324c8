"""The agent's settings about what tasks see of it."""

import dataclasses
import re
from typing import NamedTuple

from agent import config_values as values
from agent.config_fields import setting


class RateLimit(NamedTuple):
    """Requests per second in the long run, and how many may come at once."""

    per_second: int
    burst: int

    def __str__(self) -> str:
        return f"{self.per_second},{self.burst}"


def _rate_limit(text: str) -> RateLimit:
    match = re.fullmatch(r"([1-9][0-9]{0,8}),([1-9][0-9]{0,8})", text)
    if match is None:
        raise ValueError("accepted are two whole numbers, the rate per second and the burst, such as 40,60")
    return RateLimit(int(match[1]), int(match[2]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """How tasks reach the agent, and what it tells them."""

    task_address: str = setting(
        "install", "HOMEPORT_TASK_ADDRESS", values.one_of("install", "present", "off")
    )
    """How tasks reach the agent at 169.254.170.2.

    ``install`` keeps netfilter rules for it in force, ``present`` relies on rules that the operator has made,
    with ``off`` tasks are given neither metadata nor credentials.
    """

    task_metadata_rate: RateLimit = setting(RateLimit(40, 60), "ECS_TASK_METADATA_RPS_LIMIT", _rate_limit)
    """Requests for metadata, credentials and task protection that one container may make: the steady rate per
    second, and the burst.
    """

    disable_task_metadata_az: bool = setting(False, "ECS_DISABLE_TASK_METADATA_AZ", values.boolean)
    """Do not tell tasks their availability zone."""
