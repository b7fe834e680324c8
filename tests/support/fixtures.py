"""Fixtures for tests with a real engine and real processes. A pytest plugin."""

import itertools
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import docker
import pytest

from tests.support import engine
from tests.support.processes import ProcessController

_Process = TypeVar("_Process", bound=ProcessController)
_numbers = itertools.count(1)
_FAILED = pytest.StashKey[bool]()


class TrackProcess(Protocol):
    """Takes a process into care and gives it back."""

    def __call__(self, process: _Process) -> _Process: ...


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Docker Engine that answers; started, and stopped at the end, if the machine runs none."""
    with engine.running_engine(tmp_path_factory.mktemp("engine") / "dockerd.log"):
        yield


@pytest.fixture
def docker_client(docker_engine: None) -> Iterator[docker.DockerClient]:
    """A connection to the engine for this test alone."""
    with engine.client() as connection:
        yield connection


@pytest.fixture(scope="session")
def busybox_image(docker_engine: None) -> Iterator[str]:
    """The reference of an image with a static busybox; removed at the end of the session."""
    with engine.client() as connection:
        yield engine.make_busybox_image(connection)
        connection.images.remove(engine.IMAGE, force=True)


@pytest.fixture
def cluster_name() -> str:
    """A cluster of this test's own; the containers in it count as made by this test session."""
    return f"test-{engine.SESSION_ID}-{next(_numbers)}"


@pytest.fixture
def processes(request: pytest.FixtureRequest) -> Iterator[TrackProcess]:
    """Hand a `ProcessController` to this, and it is ended with the test, its log shown if the test failed."""
    known: list[ProcessController] = []

    def track(process: _Process) -> _Process:
        known.append(process)
        return process

    yield track
    for process in reversed(known):
        process.end()
        if request.node.stash.get(_FAILED, False):
            print(f"---- log of {process.name} ({process.log_path})\n{process.log()}")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory."""
    return tmp_path / "homeport"
