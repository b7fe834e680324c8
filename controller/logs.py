"""Structured logs on standard error: lines for people, or JSON for machines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_SECRET_WORDS = ("secret", "password", "authorization", "ciphertext", "token")
HIDDEN = "(hidden)"

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(format_: str, level: str, environment: Mapping[str, str]) -> None:
    """Set logging up for the process; `format_` is `text` or `json`, `level` a key of `LEVELS`.

    Under systemd, which sets `INVOCATION_ID`, lines carry no time: the journal has its own.
    """
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        hide_secrets,
    ]
    if not environment.get("INVOCATION_ID"):
        common.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    renderer: list[structlog.typing.Processor]
    if format_ == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The renderer's own way with errors would show the variables of every frame, secrets among them.
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module: their lines take the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    # Clients that break off or speak nonsense are their own affair.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide every field whose name tells of a secret: nobody should log one, but nobody is perfect."""
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = HIDDEN
    return event
