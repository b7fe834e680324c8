"""How full a disk is, and what follows from it."""

from pathlib import Path

import pytest

from agent.engine.disk import Fill, judge, measure


def fill(percent: int, path: str = "/var/lib/docker", inodes_percent: int = 0) -> Fill:
    """A disk that is that full."""
    return Fill(path, 1000, percent * 10, 1000 - percent * 10, 100 if inodes_percent else 0, inodes_percent)


@pytest.mark.parametrize(
    ("percent", "status"),
    [(0, "OK"), (74, "OK"), (75, "WARNING"), (84, "WARNING"), (85, "FULL"), (100, "FULL")],
)
def test_the_limits_belong_to_what_they_begin(percent: int, status: str) -> None:
    assert judge((fill(percent),), 75, 85).status == status


def test_the_fullest_disk_decides_and_is_named() -> None:
    condition = judge((fill(10, "/data"), fill(91)), 75, 85)
    assert condition.status == "FULL"
    assert condition.percent == 91
    assert condition.reason == "disk 91 % full on /var/lib/docker"


def test_a_disk_without_inodes_is_as_full_as_one_without_room() -> None:
    condition = judge((fill(10, inodes_percent=88),), 75, 85)
    assert condition.status == "FULL"
    assert condition.reason == "88 % of the inodes used on /var/lib/docker"


def test_a_disk_with_room_gives_no_reason() -> None:
    assert judge((fill(10),), 75, 85).reason == ""
    assert judge((), 75, 85).status == "OK"


def test_a_limit_of_one_hundred_is_none() -> None:
    assert judge((fill(100),), 100, 100).status == "OK"


def test_what_ordinary_programs_cannot_use_counts_as_used() -> None:
    reserved = Fill("/", total=1000, used=500, available=100)
    assert reserved.percent == 84  # 500 of 600, rounded up


def test_each_file_system_is_measured_once_and_what_is_not_here_is_passed_over(tmp_path: Path) -> None:
    (found,) = measure((tmp_path, tmp_path.parent, tmp_path / "missing"))
    assert found.path == str(tmp_path)
    assert 0 < found.used < found.total
    assert 0 < found.percent <= 100
