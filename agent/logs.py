"""The agent's log: one event a line on standard error, as JSON or for people."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

LEVELS = {
    "crit": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
"""amazon-ecs-agent's names for the levels."""


def configure(
    *, log_format: str, level: str, environment: Mapping[str, str], stream: TextIO | None = None
) -> None:
    """Set up logging for the process; ``log_format`` is ``json``, anything else is for people.

    Under systemd, which sets ``INVOCATION_ID``, lines carry no time: the journal has its own.
    """
    out = stream or sys.stderr
    processors: list[Any] = [structlog.processors.add_log_level]
    if not environment.get("INVOCATION_ID"):
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    if log_format == "json":
        processors += [structlog.processors.format_exc_info, _as_json]
    else:
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        )
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # What libraries say, with the same form and place.
    logging.basicConfig(handlers=[_ToStructlog()], level=max(LEVELS[level], logging.WARNING), force=True)


def _as_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            "library_message",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )
