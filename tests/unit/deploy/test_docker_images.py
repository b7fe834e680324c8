"""What the images are built from is there, and let through to the build."""

import fnmatch
import shlex

import pytest

from tests.support.processes import REPOSITORY

DOCKERFILE = (REPOSITORY / "deploy" / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
IGNORE = (REPOSITORY / ".dockerignore").read_text().splitlines()


def copied() -> list[str]:
    """The sources of every COPY from the repository."""
    sources = []
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            sources += shlex.split(line)[1:-1]
    return sources


def test_the_build_copies_the_packages_and_the_exact_versions() -> None:
    assert {"agent", "controller", "pyproject.toml", "deploy/constraints.txt"} <= set(copied())


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_is_not_ignored(source: str) -> None:
    assert (REPOSITORY / source).exists()
    kept = [pattern.removeprefix("!") for pattern in IGNORE if pattern.startswith("!")]
    assert any(fnmatch.fnmatch(source, pattern) for pattern in kept)


def test_there_is_an_image_for_each_program_and_the_base_is_the_builders_choice() -> None:
    for line in ("ARG BASE=", "FROM $BASE AS python", "FROM python AS controller", "FROM python AS agent"):
        assert any(found.startswith(line) for found in DOCKERFILE.splitlines()), line
