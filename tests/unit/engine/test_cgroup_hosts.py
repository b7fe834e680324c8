"""Making cgroups of tasks on every set-up of a host.

The file trees of cgroup v1 and v2 and the commands for systemd are recorded ones: what a kernel or systemd
does with them is not seen here. v1 with the cgroupfs driver is tested for real in
``tests/integration/engine/test_task_cgroups.py``.
"""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.engine.cgroup_hosts import (
    CgroupV1,
    CgroupV2,
    NoTaskCgroupsError,
    SystemdSlices,
    cgroup_host,
    is_occupied,
    run_command,
)
from agent.engine.task_limits import task_limits

LIMITS = task_limits(0.25, 128, (10,), 0.1)


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A recorded tree of cgroup v1."""
    for hierarchy in ("cpu", "cpuacct", "devices", "memory"):
        (tmp_path / hierarchy / "ecs").mkdir(parents=True)
    (tmp_path / "cpu/ecs/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "memory/ecs/memory.use_hierarchy").write_text("0\n")
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """A recorded tree of cgroup v2."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    return tmp_path


def slices(root: Path, *, unified: bool, ran: list[tuple[str, ...]]) -> SystemdSlices:
    """Slices on a host whose systemd only notes what it is told."""

    def run(command: Sequence[str]) -> None:
        ran.append(tuple(command))

    (root / "systemd").mkdir()
    return SystemdSlices(root, unified=unified, run=run, runtime=root / "systemd")


LIMITED_PROCESSES = task_limits(0.25, 128, (10,), 0.1, pids=64)
CGROUPFS = {"CgroupDriver": "cgroupfs"}


def test_processes_are_limited_in_the_hierarchy_that_counts_them(v1: Path) -> None:
    (v1 / "pids").mkdir()
    host = cgroup_host(CGROUPFS, v1, engine_is_here=True, limits_pids=True)
    host.prepare()
    host.limit("t1", LIMITED_PROCESSES)
    assert (v1 / "pids/ecs/t1/pids.max").read_text() == "64"


def test_a_limit_of_processes_is_delegated_in_version_two(v2: Path) -> None:
    host = cgroup_host(CGROUPFS, v2, engine_is_here=True, limits_pids=True)
    host.prepare()
    host.limit("t1", LIMITED_PROCESSES)
    assert (v2 / "ecs/t1/pids.max").read_text() == "64"
    assert (v2 / "ecs/cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_a_host_that_cannot_count_processes_says_so(v1: Path) -> None:
    host = cgroup_host(CGROUPFS, v1, engine_is_here=True, limits_pids=True)
    with pytest.raises(NoTaskCgroupsError, match="the pids controller of cgroup v1 is not at"):
        host.prepare()


def test_version_one_gets_a_directory_and_limits_in_both_hierarchies(v1: Path) -> None:
    host = CgroupV1(v1)
    host.prepare()
    host.limit("t1", LIMITS)
    host.limit("t1", LIMITS)

    assert host.parent("t1") == "/ecs/t1"
    assert host.place("t1").is_dir()
    assert (v1 / "cpu/ecs/t1/cpu.cfs_period_us").read_text() == "100000"
    assert (v1 / "cpu/ecs/t1/cpu.cfs_quota_us").read_text() == "25000"
    assert (v1 / "cpu/ecs/t1/cpu.shares").read_text() == "256"
    assert (v1 / "memory/ecs/t1/memory.limit_in_bytes").read_text() == "134217728"


def test_version_one_on_an_old_kernel_is_told_that_limits_reach_down(v1: Path) -> None:
    CgroupV1(v1).prepare()
    assert (v1 / "memory/ecs/memory.use_hierarchy").read_text() == "1"


def test_version_one_is_removed_from_every_hierarchy_with_what_is_below(v1: Path) -> None:
    for hierarchy in ("cpu", "devices", "memory"):
        (v1 / hierarchy / "ecs/t1/container").mkdir(parents=True)
    (v1 / "memory/ecs/t2").mkdir()
    CgroupV1(v1).remove("t1")
    CgroupV1(v1).remove("t1")

    assert list(v1.glob("*/ecs/t1")) == []
    assert (v1 / "memory/ecs/t2").is_dir()


@pytest.mark.parametrize("controller", ["cpu", "memory"])
def test_version_one_without_a_controller_is_not_possible(v1: Path, controller: str) -> None:
    (v1 / controller).rename(v1 / "elsewhere")
    with pytest.raises(NoTaskCgroupsError, match=f"the {controller} controller"):
        CgroupV1(v1).prepare()


def test_version_one_without_cpu_quotas_is_not_possible(v1: Path) -> None:
    (v1 / "cpu/ecs/cpu.cfs_quota_us").unlink()
    with pytest.raises(NoTaskCgroupsError, match="CONFIG_CFS_BANDWIDTH"):
        CgroupV1(v1).prepare()


def test_version_two_passes_the_controllers_down_to_the_containers(v2: Path) -> None:
    host = CgroupV2(v2)
    host.prepare()
    host.limit("t1", LIMITS)
    host.limit("t1", LIMITS)

    assert host.parent("t1") == "/ecs/t1"
    for above in (v2, v2 / "ecs", v2 / "ecs/t1"):
        assert (above / "cgroup.subtree_control").read_text() == "+cpu +memory"
    assert (host.place("t1") / "cpu.max").read_text() == "25000 100000"
    assert (host.place("t1") / "cpu.weight").read_text() == "10"
    assert (host.place("t1") / "memory.max").read_text() == "134217728"


def test_version_two_without_a_controller_is_not_possible(v2: Path) -> None:
    (v2 / "cgroup.controllers").write_text("cpuset cpu pids\n")
    with pytest.raises(NoTaskCgroupsError, match="no memory controller"):
        CgroupV2(v2).prepare()


@pytest.mark.parametrize(("unified", "place"), [(True, "ecstasks.slice"), (False, "memory/ecstasks.slice")])
def test_systemd_is_told_the_limits_and_never_written_around(v2: Path, unified: bool, place: str) -> None:
    ran: list[tuple[str, ...]] = []
    host = slices(v2, unified=unified, ran=ran)
    host.prepare()
    host.limit("t1", LIMITS)
    host.remove("t1")

    assert host.parent("t1") == "ecstasks-t1.slice"
    assert host.place("t1") == v2 / place / "ecstasks-t1.slice"
    limits = ("CPUWeight=10", "CPUQuota=25%", "MemoryMax=134217728")
    assert ran == [
        ("systemctl", "start", "ecstasks.slice"),
        ("systemctl", "set-property", "--runtime", "ecstasks-t1.slice", *limits),
        ("systemctl", "start", "ecstasks-t1.slice"),
        ("systemctl", "stop", "ecstasks-t1.slice"),
        ("systemctl", "revert", "ecstasks-t1.slice"),
    ]


def test_a_slice_with_processes_is_not_stopped(v2: Path) -> None:
    ran: list[tuple[str, ...]] = []
    host = slices(v2, unified=True, ran=ran)
    scope = host.place("t1") / "docker-d.scope"
    scope.mkdir(parents=True)
    (scope / "cgroup.procs").write_text("41\n")
    with pytest.raises(OSError, match="still holds processes"):
        host.remove("t1")
    assert ran == []


def test_without_systemd_its_driver_is_not_possible(tmp_path: Path) -> None:
    host = SystemdSlices(tmp_path, unified=False, runtime=tmp_path / "nothing")
    with pytest.raises(NoTaskCgroupsError, match="does not run here"):
        host.prepare()


@pytest.mark.parametrize(
    ("layout", "info", "kind"),
    [
        ("v1", {"CgroupDriver": "cgroupfs", "CgroupVersion": "1"}, CgroupV1),
        ("v1", {"CgroupDriver": "cgroupfs"}, CgroupV1),
        ("v1", {"CgroupDriver": "systemd", "CgroupVersion": "1"}, SystemdSlices),
        ("v2", {"CgroupDriver": "cgroupfs", "CgroupVersion": "2"}, CgroupV2),
        ("v2", {"CgroupDriver": "cgroupfs"}, CgroupV2),
        ("v2", {"CgroupDriver": "systemd", "CgroupVersion": "2", "SecurityOptions": None}, SystemdSlices),
    ],
)
def test_the_engine_and_the_mount_say_how_cgroups_are_made(
    request: pytest.FixtureRequest, layout: str, info: dict[str, Any], kind: type
) -> None:
    assert type(cgroup_host(info, request.getfixturevalue(layout), engine_is_here=True)) is kind


@pytest.mark.parametrize(
    ("info", "here", "why"),
    [
        ({"CgroupDriver": "cgroupfs"}, False, "over the network"),
        ({"CgroupDriver": "none"}, True, "driver is none"),
        ({}, True, "driver is None"),
        ({"CgroupDriver": "cgroupfs", "CgroupVersion": "2"}, True, "is cgroup v1"),
        ({"CgroupDriver": "systemd", "SecurityOptions": ["name=rootless"]}, True, "without root"),
    ],
)
def test_where_it_cannot_be_done_the_reason_is_said(
    v1: Path, info: dict[str, Any], here: bool, why: str
) -> None:
    with pytest.raises(NoTaskCgroupsError, match=why):
        cgroup_host(info, v1, engine_is_here=here)


def test_a_cgroup_is_occupied_by_processes_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/cgroup.procs").write_text("")
    assert not is_occupied(tmp_path)
    assert not is_occupied(tmp_path / "nothing")
    (tmp_path / "a/b/cgroup.procs").write_text("7\n")
    assert is_occupied(tmp_path)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", "echo no such unit >&2; exit 5"), "no such unit"),
        (("sh", "-c", "exit 6"), "exit code 6"),
    ],
)
def test_a_command_that_fails_says_so_in_its_own_words(command: tuple[str, ...], words: str) -> None:
    with pytest.raises(OSError, match=words):
        run_command(command)


def test_a_command_that_succeeds_is_silent_and_one_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_command(("true",))

    def hang(command: Sequence[str], **_: object) -> Callable[[], None]:
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(OSError, match="systemctl start x gave no answer within 30 s"):
        run_command(("systemctl", "start", "x"))
