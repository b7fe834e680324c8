"""Every test cleans up behind itself: tasks, threads, file descriptors, and what it made in the engine.

A pytest plugin. A test that may leave something behind says so and why: `@pytest.mark.leaks_allowed("…")`.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support import engine

_THREAD_GRACE_S = 2.0
_LOOP_TURNS_OF_GRACE = 20


@pytest.fixture(autouse=True)
def _no_leaked_threads_or_files(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("leaks_allowed"):
        yield
        return
    threads_before = set(threading.enumerate())
    files_before = open_files()
    yield
    leaked_threads = _threads_left(threads_before)
    leaked_files = _files_left(files_before)
    problems = [f"thread {thread.name}" for thread in leaked_threads]
    problems += [f"file descriptor {number} ({target})" for number, target in leaked_files.items()]
    if problems:
        pytest.fail("the test left behind: " + ", ".join(problems), pytrace=False)


@pytest.fixture(autouse=True)
def _no_leaks(_no_leaked_threads_or_files: None, request: pytest.FixtureRequest) -> None:
    # Asked for here, before any other fixture, the check of tasks ends after every other asynchronous fixture
    # and before the event loop is closed (closing cancels whatever is left, which would hide it).
    if pytest_asyncio.is_async_test(request.node) and not request.node.get_closest_marker("leaks_allowed"):
        request.getfixturevalue("_no_leaked_tasks")


@pytest.fixture
async def _no_leaked_tasks() -> AsyncIterator[None]:
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for _ in range(_LOOP_TURNS_OF_GRACE):
        if not left:
            return
        await asyncio.sleep(0)
        left = {task for task in left if not task.done()}
    names = ", ".join(sorted(f"{task.get_name()} ({task.get_coro()!r})" for task in left))
    pytest.fail(f"the test left tasks running: {names}", pytrace=False)


@pytest.fixture(autouse=True)
def _no_leaked_engine_objects(
    _no_leaked_threads_or_files: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    if not request.node.get_closest_marker("engine"):
        yield
        return
    request.getfixturevalue("docker_engine")
    with engine.client() as connection:
        before = engine.labelled_objects(connection)
    yield
    with engine.client() as connection:
        left = {
            name: labels for name, labels in engine.labelled_objects(connection).items() if name not in before
        }
        engine.remove_objects(connection, left)
    if left:
        pytest.fail("the test left in the engine: " + ", ".join(sorted(left)), pytrace=False)


def open_files() -> dict[int, str]:
    """This process's open file descriptors and what each of them is."""
    found = {}
    this_listing = f"/proc/{os.getpid()}/fd"
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = str(Path(entry.path).readlink())
        except FileNotFoundError:
            continue  # closed since the listing began
        if target != this_listing:
            found[int(entry.name)] = target
    return found


def _files_left(before: dict[int, str]) -> dict[int, str]:
    left = _new_files(before)
    if left:
        # An object that nobody refers to any more closes its file when collected; a ResourceWarning, which is
        # an error here, then names the object, and is a better message than a number.
        gc.collect()
        left = _new_files(before)
    return left


def _new_files(before: dict[int, str]) -> dict[int, str]:
    return {number: target for number, target in open_files().items() if before.get(number) != target}


def _threads_left(before: set[threading.Thread]) -> list[threading.Thread]:
    deadline = time.monotonic() + _THREAD_GRACE_S
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=max(0.0, deadline - time.monotonic()))
    return sorted((t for t in set(threading.enumerate()) - before), key=lambda thread: thread.name)
