"""Whose logs are limited."""

from typing import Any

import pytest

from agent.engine.log_limits import LogLimits

LIMITED = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def applied(log_config: dict[str, Any] | None, engine: str = "json-file", size: str | None = "10m") -> Any:
    """The log configuration that becomes of one."""
    limits = LogLimits(size, 3)
    limits.learn({"LoggingDriver": engine})
    host_config = {} if log_config is None else {"LogConfig": log_config}
    limits.apply(host_config)
    return host_config.get("LogConfig")


@pytest.mark.parametrize("log_config", [None, {}, {"Type": "json-file", "Config": {}}, {"Type": "json-file"}])
def test_a_container_without_limits_gets_the_default(log_config: dict[str, Any] | None) -> None:
    assert applied(log_config) == LIMITED


def test_other_options_stay() -> None:
    options = {"labels": "team", "max-file": "7"}
    assert applied({"Type": "json-file", "Config": options}) == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "7", "labels": "team"},
    }


@pytest.mark.parametrize(
    "log_config",
    [
        {"Type": "json-file", "Config": {"max-size": "1m"}},
        {"Type": "journald", "Config": {}},
        {"Type": "none"},
    ],
)
def test_what_the_definition_says_stands(log_config: dict[str, Any]) -> None:
    assert applied(log_config) == log_config


def test_an_engine_that_logs_elsewhere_is_left_to_it() -> None:
    assert applied(None, engine="journald") is None


def test_the_limit_can_be_switched_off() -> None:
    assert applied(None, size=None) is None
