"""How long a deployment or task set waits before it launches again after tasks that ended before they ran.

ECS delays the launches of tasks that go from PENDING to STOPPED without ever being RUNNING, ever longer up to
fifteen minutes; a crash after RUNNING is not delayed.
"""

from __future__ import annotations

from zlib import crc32

from controller.state.entities import TaskOwner

FREE_FAILURES = 2
"""Failed rounds that are repeated at once: one failure is bad luck."""
FIRST_DELAY_S = 10.0
LONGEST_DELAY_S = 900.0
JITTER = 0.2
"""Share by which delays differ either way, so that many services that fail together do not retry together."""


def failed_rounds(owner: TaskOwner) -> int:
    """Rounds of launches that failed one after the other."""
    return owner.launch_round - owner.good_round


def launch_delay(owner: TaskOwner) -> float:
    """Seconds from the last failure to the next launch; 0 while there were few. The same for equal
    arguments."""
    failures = failed_rounds(owner)
    if failures <= FREE_FAILURES:
        return 0.0
    # The exponent is capped because 2 ** failures outgrows a float after a week of failing.
    delay: float = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16))
    share = crc32(f"{owner.id} {failures}".encode()) / 2**32
    return delay * (1 - JITTER + 2 * JITTER * share)
