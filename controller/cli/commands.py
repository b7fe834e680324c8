"""The command lines and environments with which controller and agent are started as processes."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.cli.settings import Settings

# -P: whatever the current directory holds, `-m controller` means the installed package.
PYTHON = (sys.executable, "-P")


def controller_command(settings: Settings) -> list[str]:
    """How to run the controller with these settings; what is None is left to its own defaults."""
    command = [*PYTHON, "-m", "controller", "--data-dir", str(settings.data_dir)]
    command += ["--listen", str(settings.listen)]
    if settings.allow_plain_http:
        command.append("--allow-plain-http")
    for flag, value in {
        "--tls": settings.tls,
        "--tls-certificate": settings.tls_certificate,
        "--tls-key": settings.tls_key,
        "--tls-authority": settings.tls_authority,
        "--public-url": settings.public_url,
        "--aws-profile": settings.aws_profile,
        "--cluster": settings.cluster,
        "--log-format": settings.log_format,
        "--log-level": settings.log_level,
    }.items():
        command += [flag, value] if value else []
    for name in settings.tls_names:
        command += ["--tls-name", name]
    return command


def controller_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for it. The database's URL goes this way since it may hold a password."""
    chosen = {
        "HOMEPORT_DATABASE_URL": settings.database_url,
        "HOMEPORT_ACCOUNT_ID": settings.account_id,
        "HOMEPORT_REGION": settings.region,
    }
    return {**environment, **{name: value for name, value in chosen.items() if value}}


def agent_command(options: Mapping[str, str | Path | None]) -> list[str]:
    """How to run the agent with these flags; those that are None are left to its environment and defaults."""
    given: Sequence[tuple[str, str]] = [(flag, str(value)) for flag, value in options.items() if value]
    return [*PYTHON, "-m", "agent", *(part for pair in given for part in pair)]
