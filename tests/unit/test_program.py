"""The program as machines that join get it from their controller."""

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from controller.program import Program, files_of, find_source, pack
from tests.support.processes import REPOSITORY


def test_it_is_packed_the_same_each_time_with_all_that_installing_needs(tmp_path: Path) -> None:
    first = pack(REPOSITORY)
    for path in files_of(REPOSITORY):
        copy = tmp_path / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(path.stat().st_mode)
    (tmp_path / "agent" / "__pycache__").mkdir()
    (tmp_path / "agent" / "__pycache__" / "left.pyc").touch()
    (tmp_path / "secret.key").write_text("not part of the program")
    assert pack(tmp_path) == first
    assert hashlib.sha256(first.content).hexdigest() == first.sha256
    with tarfile.open(fileobj=io.BytesIO(first.content)) as archive:
        names = set(archive.getnames())
        assert archive.getmember("deploy/install.sh").mode & 0o111
    assert {"deploy/lib/install.sh", "deploy/constraints.txt", "agent/app.py", "pyproject.toml"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests", "secret"))]


async def test_it_is_packed_once_and_again_only_after_a_failure(tmp_path: Path) -> None:
    assert await Program(None).archive() is None
    program = Program(tmp_path)
    with pytest.raises(FileNotFoundError):
        await program.archive()
    for path in files_of(REPOSITORY):
        copy = tmp_path / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    archive = await program.archive()
    assert archive is not None
    assert await program.archive() is archive


def test_a_checkout_knows_its_own_sources() -> None:
    assert find_source() == REPOSITORY
