"""Which members of ECS's input structures the tests exercise. A pytest plugin.

Those who call operations for tests say so with `exercised`. What each test file touches is kept in pytest's
cache, so that suites which run one after the other add up, and replaced when the whole file runs again.
Requests made at random touch everything and prove nothing of a member: their tests do not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api.output_shapes import ecs_model

REPOSITORY = Path(__file__).resolve().parents[2]
SUITES = ("tests/unit/api", "tests/conformance")
"""Where operations are called."""

RANDOM = ("test_any_input.py", "test_model_requests.py")

_CACHE_KEY = "homeport/touched-members"
_touched: defaultdict[str, set[str]] = defaultdict(set)
"""What this session's tests touched, by file."""
_current: set[str] = set()


def exercised(operation: str, request: dict[str, Any]) -> None:
    """Note that a test calls an operation with a request."""
    _current.update(members_in(ecs_model().operation_model(operation).input_shape, request))


def members_in(shape: Any, value: Any) -> Iterator[str]:
    """The members that a value of a shape has, as `Structure.member`, at any depth."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            if name in shape.members:
                yield f"{shape.name}.{name}"
                yield from members_in(shape.members[name], inner)
    elif shape.type_name == "list" and isinstance(value, list | tuple):
        for inner in value:
            yield from members_in(shape.member, inner)
    elif shape.type_name == "map" and isinstance(value, dict):
        for inner in value.values():
            yield from members_in(shape.value, inner)


@pytest.fixture
def touched_members(request: pytest.FixtureRequest) -> set[str]:
    """Every member that some test touched when it last ran. Who asks for this runs last, and is skipped where
    some file of the suites has never run."""
    by_file = {**_remembered(request.config), **_touched}
    files = {_name(path) for suite in SUITES for path in (REPOSITORY / suite).rglob("test_*.py")}
    if not files <= by_file.keys():
        pytest.skip(f"not all of {' and '.join(SUITES)} have run here yet")
    return {member for file in files for member in by_file[file]}


@pytest.fixture(autouse=True)
def _note_members(request: pytest.FixtureRequest) -> Iterator[None]:
    _current.clear()
    yield
    if request.path.name not in RANDOM:
        _touched[_name(request.path)] |= _current


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who looks back runs last."""
    items.sort(key=lambda item: "touched_members" in getattr(item, "fixturenames", ()))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What ran before stays known where only a part of a file runs now."""
    for item in session.items:
        _touched[_name(item.path)] = set()
    if _is_partial(session.config):
        _touched.update({file: set(_remembered(session.config).get(file, ())) for file in _touched})


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember what this session touched, if it came to its end."""
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    keeps = session.config.pluginmanager.has_plugin("cacheprovider")
    if ended and keeps and _touched and not session.config.option.collectonly:
        assert session.config.cache is not None
        known = {**_remembered(session.config), **{file: sorted(found) for file, found in _touched.items()}}
        session.config.cache.set(_CACHE_KEY, known)


def _is_partial(config: pytest.Config) -> bool:
    named = any("::" in argument for argument in config.args)
    return bool(named or config.option.keyword or config.option.markexpr or config.option.maxfail)


def _remembered(config: pytest.Config) -> dict[str, list[str]]:
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return {}
    assert config.cache is not None
    remembered: dict[str, list[str]] = config.cache.get(_CACHE_KEY, {})
    return remembered


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)
