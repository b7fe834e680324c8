"""``python -m agent``: one container instance's agent, in the foreground."""

import asyncio
import os
import sys
import warnings

# structlog loads rich wherever that is installed, for tracebacks that this process never prints: 5 MiB.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
# requests loads it to guess encodings; the Docker engine and its registries speak UTF-8: 2 MiB.
sys.modules.setdefault("charset_normalizer", None)  # type: ignore[arg-type]
warnings.filterwarnings("ignore", "Unable to find acceptable character detection")

import structlog  # noqa: E402

from agent import app, logs  # noqa: E402
from agent.checkpoint import CheckpointError  # noqa: E402
from agent.config import ConfigError, load, variables  # noqa: E402
from agent.config_without_effect import notices  # noqa: E402
from agent.engine.task_cgroups import TaskLimitsRequiredError  # noqa: E402
from agent.host.resources import ReservedTooMuch  # noqa: E402
from agent.identity import IdentityError, IdentityNotSavedError, IdentityTakenError  # noqa: E402
from agent.membership import MembershipError  # noqa: E402
from agent.protocol.supervision import RootTaskFailed  # noqa: E402
from agent.session.joining import NotJoined  # noqa: E402
from agent.session.trust import ControllerNotTrusted  # noqa: E402

log = structlog.get_logger("agent")

FAILED, NOT_STARTABLE = 1, 5
"""Exit codes of amazon-ecs-agent: start it again, and do not start it again before something was changed."""


def main() -> int:
    """Run the agent; the result is the process's exit code."""
    try:
        config = load(sys.argv[1:], os.environ)
    except ConfigError as error:
        sys.stderr.write(f"agent: {error}\n")
        return NOT_STARTABLE
    logs.configure(log_format=config.log_format, level=config.log_level, environment=os.environ)
    for notice in notices(os.environ, variables()):
        log.warning("setting_without_effect", setting=notice.variable, reason=notice.reason)
    try:
        asyncio.run(app.run(config))
    except (
        app.DataDirectoryError,
        IdentityError,
        ReservedTooMuch,
        TaskLimitsRequiredError,
        ControllerNotTrusted,
        NotJoined,
    ) as error:
        sys.stderr.write(f"agent: {error}\n")
        return NOT_STARTABLE
    except (
        CheckpointError,
        IdentityTakenError,
        IdentityNotSavedError,
        MembershipError,
        RootTaskFailed,
    ) as error:
        sys.stderr.write(f"agent: {error}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
