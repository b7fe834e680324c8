"""When tasks are limited, when not, and what the log and the engine say about it. On recorded file trees."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.config import AgentConfig
from agent.engine.errors import CgroupError
from agent.engine.task_cgroups import TaskCgroups, TaskLimitsRequiredError
from agent.protocol.signing import Credentials
from tests.unit.engine.builders import ARN, acs_task

TASK_ID = ARN.rpartition("/")[2]
INFO = {"CgroupDriver": "cgroupfs", "CgroupVersion": "1"}
Opened = Callable[..., Awaitable[TaskCgroups]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A recorded tree of cgroup v1."""
    root = tmp_path / "cgroup"
    for hierarchy in ("cpu", "memory"):
        (root / hierarchy / "ecs").mkdir(parents=True)
    (root / "cpu/ecs/cpu.cfs_quota_us").write_text("-1\n")
    return root


@pytest.fixture
async def opened(tmp_path: Path, root: Path) -> AsyncIterator[Opened]:
    """Makes cgroups of tasks with these settings, opened."""
    made = []

    async def make(info: dict[str, Any] = INFO, **settings: Any) -> TaskCgroups:
        credentials = Credentials("key", "secret")
        config = AgentConfig(
            credentials=credentials, data_dir=tmp_path / "agent", cgroup_path=root, **settings
        )
        cgroups = TaskCgroups(config, "owner")
        made.append(cgroups)
        await cgroups.open(info)
        return cgroups

    yield make
    for cgroups in made:
        await cgroups.close()


async def test_where_it_is_possible_tasks_are_limited_without_asking(opened: Opened, root: Path) -> None:
    with capture_logs() as logs:
        cgroups = await opened()
    await cgroups.ensure(acs_task(cpu=0.5, memory=64))

    assert cgroups.enforced
    assert cgroups.parent(ARN) == f"/ecs/{TASK_ID}"
    assert (root / "cpu/ecs" / TASK_ID / "cpu.cfs_quota_us").read_text() == "50000"
    assert [(line["event"], line["log_level"]) for line in logs] == [("task_limits_in_force", "info")]


async def test_the_period_is_a_setting(opened: Opened, root: Path) -> None:
    cgroups = await opened(cgroup_cpu_period_s=0.02)
    await cgroups.ensure(acs_task(cpu=0.5))
    assert (root / "cpu/ecs" / TASK_ID / "cpu.cfs_quota_us").read_text() == "10000"


@pytest.mark.parametrize("setting", [None, False])
async def test_where_it_is_not_tasks_run_without(opened: Opened, root: Path, setting: bool | None) -> None:
    info = INFO if setting is False else {"CgroupDriver": "none"}
    cgroups = await opened(info, task_cpu_mem_limit=setting)
    await cgroups.ensure(acs_task(cpu=0.5, memory=64))
    await cgroups.remove(ARN)
    await cgroups.remove_orphans([])

    assert not cgroups.enforced
    assert cgroups.parent(ARN) is None
    assert not list(root.glob(f"*/ecs/{TASK_ID}"))


async def test_why_tasks_are_not_limited_is_logged(opened: Opened) -> None:
    with capture_logs() as logs:
        await opened({"CgroupDriver": "none"})
        await opened(docker_host="tcp://10.0.0.7:2375")
        await opened(task_cpu_mem_limit=False)

    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("task_limits_not_possible", "warning"),
        ("task_limits_not_possible", "warning"),
        ("task_limits_off", "info"),
    ]
    assert logs[0]["reason"] == "the Docker engine's cgroup driver is none"
    assert "over the network" in logs[1]["reason"]


async def test_limits_that_are_required_and_not_possible_end_the_start(opened: Opened) -> None:
    with pytest.raises(TaskLimitsRequiredError, match=r"LIMIT=true.*driver is none"):
        await opened({"CgroupDriver": "none"}, task_cpu_mem_limit=True)


async def test_what_the_host_refuses_has_the_name_that_ecs_gives_it(opened: Opened, root: Path) -> None:
    cgroups = await opened()
    (root / "memory/ecs").rename(root / "memory/gone")
    with pytest.raises(CgroupError) as failed:
        await cgroups.ensure(acs_task())

    beginning = "CgroupError: Agent could not create task's platform resources: [Errno 2]"
    assert failed.value.reason.startswith(beginning)


async def test_a_task_id_that_is_none_never_becomes_a_path(opened: Opened, root: Path) -> None:
    cgroups = await opened()
    evil = "arn:aws:ecs:us-east-1:000000000000:task/default/.."
    with pytest.raises(CgroupError, match="no task id"):
        await cgroups.ensure(acs_task(arn=evil))
    await cgroups.remove(evil)
    assert (root / "memory/ecs").is_dir()


async def test_limits_are_written_once_in_a_life_and_again_in_the_next(opened: Opened, root: Path) -> None:
    file = root / "memory/ecs" / TASK_ID / "memory.limit_in_bytes"
    cgroups = await opened()
    await cgroups.ensure(acs_task(memory=64))
    file.unlink()
    await cgroups.ensure(acs_task(memory=64))
    assert not file.exists()

    await (await opened()).ensure(acs_task(memory=64))
    assert file.read_text() == str(64 * 1024 * 1024)
