"""What install.sh makes of its arguments, and how it goes on where it came alone, as EC2 user data does."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

SCRIPT = REPOSITORY / "deploy" / "install.sh"
STUB = """#!/bin/sh
echo "went on with: $*"
echo "cluster: $ECS_CLUSTER"
echo "here: $0" >"{trace}"
exit {status}
"""


def run(script: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The script in an environment without anything but these variables and a path."""
    return subprocess.run(
        ["bash", script, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what to do"),
        (("frobnicate",), "frobnicate is not known"),
        (("agent", "controller"), "one of controller, agent, upgrade and uninstall at a time"),
        (("agent", "--config"), "--config needs a value"),
        (("controller", "--config", "f"), "--config and --token belong to agent"),
        (("controller", "--token", "t"), "--config and --token belong to agent"),
        (("agent", "--config", "f", "--token", "t"), "one of --config and --token"),
        (("agent", "--listen", "h:1"), "belong to controller"),
        (("upgrade", "--purge"), "--purge belongs to uninstall"),
    ],
)
def test_a_wrong_call_changes_nothing_and_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    result = run(SCRIPT, *arguments)
    assert result.returncode == 2
    assert said in result.stdout
    assert "./deploy/install.sh uninstall [--purge]" in result.stdout


def test_help_tells_every_action() -> None:
    result = run(SCRIPT, "--help")
    assert result.returncode == 0
    for action in ("controller", "agent", "upgrade", "uninstall"):
        assert f"./deploy/install.sh {action}" in result.stdout


def source(directory: Path, status: int = 0) -> Path:
    """An archive whose install.sh tells what it was called with."""
    script = directory / "homeport-1" / "deploy" / "install.sh"
    script.parent.mkdir(parents=True)
    script.write_text(STUB.format(trace=directory / "trace", status=status))
    script.chmod(0o755)
    archive = directory / "homeport.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory / "homeport-1", arcname="homeport-1")
    return archive


def user_data(directory: Path, *lines: str) -> Path:
    """The script as it arrives at an EC2 instance: alone, below lines that say what to do."""
    script = directory / "scripts" / "part-001"
    script.parent.mkdir()
    first, rest = SCRIPT.read_text().split("\n", 1)
    script.write_text("\n".join((first, *lines, rest)))
    return script


def test_as_user_data_it_is_not_too_long() -> None:
    """EC2 takes 16 KiB, of which the lines that say what to do need some."""
    assert len(SCRIPT.read_bytes()) < 15 * 1024


def test_from_a_pipe_it_fetches_the_rest_too(tmp_path: Path) -> None:
    result = subprocess.run(
        ["bash", "-s", "--", "agent"],
        input=SCRIPT.read_text(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOMEPORT_SOURCE": str(source(tmp_path)),
            "TMPDIR": str(tmp_path),
        },
    )
    assert (result.returncode, result.stdout) == (0, "went on with: agent\ncluster: \n")


def test_as_user_data_it_fetches_the_rest_and_goes_on_there(tmp_path: Path) -> None:
    archive = source(tmp_path)
    script = user_data(
        tmp_path,
        f'export HOMEPORT_INSTALL="controller --listen 0.0.0.0:8480" HOMEPORT_SOURCE={archive}',
        "export ECS_CLUSTER=lab",
    )
    result = run(script, TMPDIR=str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert result.stdout == "went on with: controller --listen 0.0.0.0:8480\ncluster: lab\n"
    fetched = Path((tmp_path / "trace").read_text().removeprefix("here: ").strip())
    assert not fetched.exists(), "what was fetched is removed again"


def test_a_failure_there_is_a_failure_here(tmp_path: Path) -> None:
    script = user_data(
        tmp_path, f"export HOMEPORT_INSTALL=agent HOMEPORT_SOURCE={source(tmp_path, status=1)}"
    )
    assert run(script, TMPDIR=str(tmp_path)).returncode == 1


def test_alone_and_without_a_source_it_says_what_is_missing(tmp_path: Path) -> None:
    result = run(user_data(tmp_path), "agent")
    assert result.returncode == 2
    assert "set HOMEPORT_SOURCE" in result.stdout


@pytest.mark.parametrize(
    "before", [None, "ECS_CLUSTER=old\nAWS_ACCESS_KEY_ID=AKIDOLD\nECS_RESERVED_MEMORY=64\n"]
)
def test_a_token_takes_the_place_of_what_said_where_the_machine_belonged(
    tmp_path: Path, before: str | None
) -> None:
    file = tmp_path / "agent.env"
    if before is not None:
        file.write_text(before)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", '. deploy/lib/install.sh; settings_to_join "$0"', file],
        input="HOMEPORT_JOIN_TOKEN=stale\nECS_LOGLEVEL=info\n\nECS_LOGLEVEL=debug\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOMEPORT_JOIN_TOKEN": "hpj1-new"},
    )
    kept = ["ECS_RESERVED_MEMORY=64"] if before else []
    assert result.stdout.splitlines() == [*kept, "ECS_LOGLEVEL=debug", "HOMEPORT_JOIN_TOKEN=hpj1-new"]
