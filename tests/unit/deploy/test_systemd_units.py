"""The units of controller and agent, as systemd itself reads and judges them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.__main__ import NOT_STARTABLE
from agent.stop_order import ULTIMATE_EXIT_S
from controller.config import ControllerConfig
from tests.support.processes import HOMEPORT, REPOSITORY

UNITS = sorted((REPOSITORY / "deploy" / "systemd").glob("*.service"))
INSTALLED = "/opt/homeport/current/bin/homeport"
HIGHEST_EXPOSURE = {"homeport-controller": 1.5, "homeport-agent": 4.0}
"""Of 10, by systemd's own count. The agent's counts its being root, which the container engine demands."""


def systemd_analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = shutil.which("systemd-analyze")
    assert command, "systemd-analyze is missing: ./tests/run.sh installs it"
    return subprocess.run(
        [command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(params=UNITS, ids=lambda unit: unit.stem)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit that starts the program where it is on this machine."""
    source: Path = request.param
    text = source.read_text()
    assert INSTALLED in text
    copy = tmp_path / source.name
    copy.write_text(text.replace(INSTALLED, str(HOMEPORT)))
    return copy


def test_systemd_finds_nothing_wrong_in_it(unit: Path) -> None:
    verified = systemd_analyze("verify", unit)
    assert (verified.returncode, verified.stdout) == (0, "")


def test_what_a_taken_over_process_could_do_stays_bounded(unit: Path) -> None:
    judged = systemd_analyze("security", "--offline=true", unit).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged)
    assert found, judged
    assert float(found[1]) <= HIGHEST_EXPOSURE[unit.stem], judged


def test_each_is_watched_started_again_and_has_time_to_end_in_order() -> None:
    controller, agent = service("homeport-controller"), service("homeport-agent")
    for settings in (controller, agent):
        assert (settings["Type"], settings["Restart"]) == ("notify", "always")
        assert int(settings["WatchdogSec"]) > 0
    assert int(controller["TimeoutStopSec"]) > ControllerConfig(Path("/")).shutdown_timeout_s
    assert int(agent["TimeoutStopSec"]) > ULTIMATE_EXIT_S


def test_an_agent_that_needs_another_setting_is_not_started_again_and_its_end_spares_containers() -> None:
    agent = service("homeport-agent")
    assert agent["RestartPreventExitStatus"] == str(NOT_STARTABLE)
    assert agent["KillMode"] == "process"


def service(name: str) -> dict[str, str]:
    """The settings of a unit's service section; of one that is given twice, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((REPOSITORY / "deploy" / "systemd" / f"{name}.service").read_text())
    return dict(parser["Service"])
