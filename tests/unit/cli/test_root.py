"""The command as a whole: its help, its completion, and that it starts fast."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller import __version__
from controller.cli import main
from controller.cli.root import _COMMANDS

HEAVY = {
    "aiohttp",
    "asyncio",
    "botocore",
    "cryptography",
    "docker",
    "prometheus_client",
    "sqlalchemy",
    "structlog",
}


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"homeport {command}" in result.stdout


def test_the_help_lists_every_command_with_a_whole_sentence() -> None:
    output = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
    commands = output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in commands] == list(_COMMANDS)
    assert not any(line.endswith("...") for line in commands)


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"homeport, version {__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["frobnicate"]).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["--help"], ["env", "--help"], ["ps", "--help"], ["controller", "--help"]], ids=" ".join
)
def test_no_command_pays_for_the_controllers_imports(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from controller.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print('modules:', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(result.stdout.rpartition("modules:")[2].split())
    assert "click" in loaded
    # The help of the whole command names `up`, which runs its children on asyncio.
    assert loaded & HEAVY == ({"asyncio"} if arguments == ["--help"] else set())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_for_the_command(shell: str) -> None:
    output = CliRunner().invoke(main, ["completion", shell]).stdout
    assert "_HOMEPORT_COMPLETE" in output


def test_bash_really_completes_commands_and_options() -> None:
    script = """
        eval "$(homeport completion bash)"
        complete_line() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _homeport_completion homeport
            printf '%s\\n' "${COMPREPLY[@]}"
        }
        complete_line homeport inst
        complete_line homeport ps --outp
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30, env=environment
    )
    assert result.stdout.split() == ["instances", "--output"]
