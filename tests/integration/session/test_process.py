"""The agent as a process: how it starts, refuses to start, and ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY, clean_environment, free_port, http_get, wait_until

pytestmark = pytest.mark.engine

NOT_STARTABLE = 5
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden-secret"}
LOCAL = ("--introspection", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--credentials", "127.0.0.1:0")


def command(data_dir: Path, *more: str) -> list[str]:
    nobody = f"http://127.0.0.1:{free_port()}"
    return [sys.executable, "-m", "agent", "--data-dir", str(data_dir), "--controller", nobody, *LOCAL, *more]


def finished(data_dir: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The agent, started and waited for."""
    return subprocess.run(
        command(data_dir, *more),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=REPOSITORY,
        env=clean_environment(**environment),
    )


@contextmanager
def started(
    data_dir: Path, log: Path, *more: str, environment: Mapping[str, str] = KEYS
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(data_dir, *more),
            stdout=output,
            stderr=output,
            cwd=REPOSITORY,
            env=clean_environment(**environment),
        )
    try:
        wait_until(lambda: "registration_failed" in log.read_text(), "the agent looks for its controller")
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "AWS_ACCESS_KEY_ID is not set"),
        ({**KEYS, "ECS_CONTAINER_STOP_TIMEOUT": "soon"}, "ECS_CONTAINER_STOP_TIMEOUT='soon' cannot be used"),
        ({**KEYS, "ECS_RESERVED_MEMORY": "999999999"}, "ECS_RESERVED_MEMORY=999999999 is more than"),
    ],
)
def test_a_bad_setting_ends_the_start_with_one_line_that_names_it(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    result = finished(tmp_path / "agent", **environment)
    assert result.returncode == NOT_STARTABLE
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert "hidden-secret" not in result.stderr + result.stdout


def test_a_data_directory_that_cannot_be_made_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = finished(tmp_path / "file" / "agent", **KEYS)
    assert result.returncode == NOT_STARTABLE
    assert "data directory cannot be used" in result.stderr


def test_limits_of_tasks_that_are_required_and_impossible_end_the_start(tmp_path: Path) -> None:
    """A host whose cgroups are not where they were said to be."""
    elsewhere = {"ECS_CGROUP_PATH": str(tmp_path), "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "true"}
    result = finished(tmp_path / "agent", **KEYS, **elsewhere)
    assert result.returncode == NOT_STARTABLE
    assert "agent: ECS_ENABLE_TASK_CPU_MEM_LIMIT=true, but tasks cannot be limited here: " in result.stderr
    assert "Traceback" not in result.stderr


def test_two_agents_never_share_a_data_directory(tmp_path: Path) -> None:
    with started(tmp_path / "agent", tmp_path / "log"):
        result = finished(tmp_path / "agent", **KEYS)
        assert result.returncode == NOT_STARTABLE
        assert "another agent uses the data directory" in result.stderr
    with started(tmp_path / "agent", tmp_path / "log2"):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_agent_without_controller_waits_for_it_and_ends_in_order_when_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    with started(tmp_path / "agent", log) as process:
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    assert "agent_ended" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_local_endpoints_answer_before_there_is_a_controller(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path / "agent", tmp_path / "log", "--metrics", f"127.0.0.1:{port}"):
        answer = wait_until(lambda: http_get(f"http://127.0.0.1:{port}/metrics"), "metrics answer")
    assert answer[0] == 200
    assert "homeport_agent_session_connected" in answer[1]


def test_under_systemd_log_lines_carry_no_time_of_their_own(tmp_path: Path) -> None:
    environment = {**KEYS, "INVOCATION_ID": "1"}
    log = tmp_path / "log"
    with started(tmp_path / "agent", log, "--log-format", "json", environment=environment):
        lines = log.read_text().splitlines()
    assert all(line.startswith("{") and '"timestamp"' not in line for line in lines)


def test_the_agent_is_light(tmp_path: Path) -> None:
    with started(tmp_path / "agent", tmp_path / "log") as process:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    pss_kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss_kib < 54 * 1024
