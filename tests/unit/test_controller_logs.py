"""The controller's log lines."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from controller.logs import HIDDEN, configure_logging


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def line(capsys: pytest.CaptureFixture[str], environment: dict[str, str]) -> dict[str, str]:
    """What one event looks like."""
    configure_logging("json", "info", environment)
    structlog.get_logger("controller.test").info("happened", secret_key="hidden", task="t")
    (written,) = capsys.readouterr().err.splitlines()
    found: dict[str, str] = json.loads(written)
    return found


def test_a_line_says_when_where_and_what_but_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    written = line(capsys, {})
    assert written.pop("timestamp").endswith("Z")
    assert written == {
        "event": "happened",
        "level": "info",
        "logger": "controller.test",
        "secret_key": HIDDEN,
        "task": "t",
    }


def test_under_systemd_the_time_is_left_to_the_journal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "timestamp" not in line(capsys, {"INVOCATION_ID": "a1"})
