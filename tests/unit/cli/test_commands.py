"""How controller and agent are started as processes of their own."""

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from controller.cli import main
from controller.cli.commands import agent_command, controller_command, controller_environment
from controller.cli.settings import Address, Settings


@pytest.fixture
def execution(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would have become."""
    seen: dict[str, Any] = {}

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        seen.update(path=path, command=command, environment=dict(environment))

    monkeypatch.setattr(os, "execve", execve)
    return seen


def options_of(command: list[str]) -> list[str]:
    return command[command.index("-m") + 2 :]


def test_the_controller_gets_what_was_set_and_nothing_else() -> None:
    settings = Settings(data_dir=Path("/data"), listen=Address("::1", 9), log_level="debug")
    assert options_of(controller_command(settings)) == [
        *("--data-dir", "/data", "--listen", "[::1]:9"),
        *("--log-level", "debug"),
    ]


def test_a_database_password_does_not_show_in_the_process_list() -> None:
    settings = Settings(data_dir=Path("/data"), database_url="postgresql://me:secret@db/homeport")
    assert not any("secret" in part for part in controller_command(settings))
    assert controller_environment(settings, {"HOME": "/root"}) == {
        "HOME": "/root",
        "HOMEPORT_DATABASE_URL": "postgresql://me:secret@db/homeport",
    }


def test_the_agents_flags_leave_out_what_was_not_given() -> None:
    command = agent_command({"--controller": "http://c", "--cluster": None, "--data-dir": Path("/d")})
    assert options_of(command) == ["--controller", "http://c", "--data-dir", "/d"]


def test_homeport_controller_becomes_the_controller_with_the_files_settings(
    execution: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "homeport.toml").write_text('account_id = "123456789012"\nallow_plain_http = true\n')
    result = CliRunner().invoke(main, ["controller", "--listen", "0.0.0.0:7"])
    assert result.exit_code == 0
    assert execution["path"] == execution["command"][0]
    assert options_of(execution["command"]) == [
        *("--data-dir", str(tmp_path), "--listen", "0.0.0.0:7"),
        "--allow-plain-http",
    ]
    assert execution["environment"]["HOMEPORT_ACCOUNT_ID"] == "123456789012"


def test_homeport_agent_becomes_the_agent(execution: dict[str, Any]) -> None:
    result = CliRunner().invoke(
        main, ["agent", "--controller", "http://c:1", "--introspection", "127.0.0.1:2", "--log-level", "warn"]
    )
    assert result.exit_code == 0
    assert options_of(execution["command"]) == [
        *("--controller", "http://c:1"),
        *("--introspection", "127.0.0.1:2"),
        *("--log-level", "warn"),
    ]


def test_a_bad_setting_ends_before_anything_starts(execution: dict[str, Any]) -> None:
    result = CliRunner().invoke(main, ["controller", "--listen", "nowhere"])
    assert result.exit_code == 2
    assert "--listen='nowhere' cannot be used: it must be HOST:PORT" in result.stderr
    assert execution == {}
