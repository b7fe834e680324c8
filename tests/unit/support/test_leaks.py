"""The leak checks, tried on small test files of their own, run by a pytest of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

LEAKS_A_TASK = """
import asyncio
async def test_it():
    asyncio.create_task(asyncio.sleep(60), name="forgotten-task")
    await asyncio.sleep(0)
"""
LEAKS_A_THREAD = """
import threading
def test_it():
    threading.Thread(target=threading.Event().wait, args=(5,), name="forgotten-thread", daemon=True).start()
"""
LEAKS_A_FILE = """
import os
def test_it():
    os.open("/dev/null", os.O_RDONLY)
"""
CLEANS_UP_IN_A_FIXTURE = """
import asyncio, os, pytest
@pytest.fixture
async def server():
    task = asyncio.create_task(asyncio.sleep(60))
    descriptor = os.open("/dev/null", os.O_RDONLY)
    yield
    os.close(descriptor)
    task.cancel()
async def test_it(server):
    await asyncio.to_thread(print, "a thread of the loop's own pool")
"""
SAYS_THAT_IT_LEAKS = """
import os, pytest
@pytest.mark.leaks_allowed("shown here")
def test_it():
    os.open("/dev/null", os.O_RDONLY)
"""


def run_pytest(tmp_path: Path, source: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "test_sample.py").write_text(source)
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (LEAKS_A_TASK, "forgotten-task"),
        (LEAKS_A_THREAD, "forgotten-thread"),
        (LEAKS_A_FILE, "/dev/null"),
    ],
    ids=["task", "thread", "file descriptor"],
)
def test_a_test_that_leaves_something_behind_fails_and_names_it(
    tmp_path: Path, source: str, message: str
) -> None:
    result = run_pytest(tmp_path, source)
    assert result.returncode == 1, result.stdout + result.stderr
    assert message in result.stdout


@pytest.mark.parametrize(
    "source", [CLEANS_UP_IN_A_FIXTURE, SAYS_THAT_IT_LEAKS], ids=["cleans up", "is allowed to"]
)
def test_a_test_that_cleans_up_or_says_why_not_passes(tmp_path: Path, source: str) -> None:
    result = run_pytest(tmp_path, source)
    assert result.returncode == 0, result.stdout + result.stderr
