"""The places where tests have the agent killed, as a power cut would: each must leave what a restart mends.

``HOMEPORT_CRASH_AT`` names one of them; nothing but a test sets it. Elsewhere ``reach`` compares two words.
"""

import os
import signal
from enum import StrEnum

VARIABLE = "HOMEPORT_CRASH_AT"


class CrashPoint(StrEnum):
    """Every step from a payload that arrives to RUNNING that is reported, and from a stop to the clean-up."""

    PAYLOAD_RECEIVED = "payload-received"
    PAYLOAD_WRITTEN = "payload-written"
    PAYLOAD_ACKNOWLEDGED = "payload-acknowledged"
    BEFORE_RESOURCES = "before-resources"
    AFTER_RESOURCES = "after-resources"
    BEFORE_PULL = "before-pull"
    AFTER_PULL = "after-pull"
    BEFORE_CREATE = "before-create"
    AFTER_CREATE = "after-create"
    BEFORE_START = "before-start"
    AFTER_START = "after-start"
    BEFORE_RUNNING_REPORTED = "before-running-reported"
    AFTER_RUNNING_REPORTED = "after-running-reported"
    RUNNING_ACKNOWLEDGED = "running-acknowledged"
    STOP_RECEIVED = "stop-received"
    STOP_WRITTEN = "stop-written"
    STOP_ACKNOWLEDGED = "stop-acknowledged"
    BEFORE_STOP = "before-stop"
    SIGNALLED = "signalled"
    AFTER_STOP = "after-stop"
    BEFORE_STOPPED_REPORTED = "before-stopped-reported"
    AFTER_STOPPED_REPORTED = "after-stopped-reported"
    STOPPED_ACKNOWLEDGED = "stopped-acknowledged"
    BEFORE_REMOVAL = "before-removal"
    CONTAINERS_REMOVED = "containers-removed"
    TASK_FORGOTTEN = "task-forgotten"


_HERE = os.environ.get(VARIABLE, "")


def reach(point: CrashPoint) -> None:
    """The agent is at ``point``: end it without any farewell if this is where it is to end."""
    if point == _HERE:
        os.kill(os.getpid(), signal.SIGKILL)
