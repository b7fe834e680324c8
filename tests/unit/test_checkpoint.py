"""The checkpoint: what was written is there after any end of the process."""

import asyncio
import contextlib
import signal
import sqlite3
import sys
from pathlib import Path

import msgspec
import pytest

from agent.checkpoint import (
    FILE_NAME,
    SCHEMA_VERSION,
    Checkpoint,
    CheckpointError,
    Contents,
    StoredTask,
)
from agent.checkpoint_opening import open_checkpoint
from agent.engine.image_ledger import PulledImage
from agent.engine.states import ResourceStatus, Sent, Status, TaskPlan
from tests.support.processes import REPOSITORY
from tests.unit.engine.builders import ADMITTED, ARN, Machine, acs_container, acs_task, container, plan

CRASHER = """
import asyncio, sys
from pathlib import Path
from agent.checkpoint import Checkpoint, StoredTask
from agent.engine.transitions import initial_state
from tests.unit.engine.builders import acs_task, plan
from msgspec.structs import replace

async def main() -> None:
    checkpoint = Checkpoint(Path(sys.argv[1]))
    for number in range(100000):
        task_plan = replace(plan(), arn=f"{plan().arn}{number}", containers=tuple(
            replace(c, docker_name=f"{c.docker_name}-{number}") for c in plan().containers))
        task = StoredTask(acs_task(arn=task_plan.arn), task_plan, initial_state(task_plan))
        await checkpoint.put(task)
        print(number, flush=True)
        if number % 3 == 0:
            await checkpoint.forget(task_plan.arn, 1.0)
            print("-", number, flush=True)

asyncio.run(main())
"""


def stored(state_of: Machine | None = None, task_plan: TaskPlan | None = None) -> StoredTask:
    """A task as the engine hands it over."""
    machine = state_of or Machine(task_plan or plan()).run_up()
    containers = tuple(acs_container(c.name) for c in machine.plan.containers)
    return StoredTask(acs_task(*containers), machine.plan, machine.state)


async def reopened(path: Path) -> Contents:
    """What a new process would read."""
    checkpoint = Checkpoint(path)
    contents = checkpoint.load(forget_before=0.0)
    await checkpoint.close()
    return contents


async def test_a_task_comes_back_as_it_was_but_for_what_was_under_way(tmp_path: Path) -> None:
    task = stored(task_plan=plan(container("web"), container("log", essential=False)))
    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    await checkpoint.put(task)
    await checkpoint.close()

    (found,) = (await reopened(tmp_path / FILE_NAME)).tasks
    assert found.definition == task.definition
    assert found.plan == task.plan
    kept = msgspec.structs.replace(task.state, admitted=False, resources=ResourceStatus.NONE)
    assert found.state == kept
    assert found.state.containers[1].known is Status.RUNNING


async def test_commands_in_flight_and_admission_are_not_kept(tmp_path: Path) -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED)
    assert machine.container("web").applied is Status.PULLED
    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    await checkpoint.put(stored(machine))
    await checkpoint.close()

    (found,) = (await reopened(tmp_path / FILE_NAME)).tasks
    assert found.state.containers[0].applied is None
    assert not found.state.admitted
    assert found.state.resources is ResourceStatus.NONE


async def test_the_newest_state_of_a_task_wins(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    task = stored()
    first = checkpoint.put(StoredTask(task.definition, task.plan, Machine(plan()).state))
    second = checkpoint.put(task)
    sent = msgspec.structs.replace(task.state, sent=Sent.RUNNING)
    await asyncio.wait([first, second])
    await checkpoint.put(StoredTask(task.definition, task.plan, sent))
    await checkpoint.close()

    (found,) = (await reopened(tmp_path / FILE_NAME)).tasks
    assert found.state.sent is Sent.RUNNING
    assert found.state.known is Status.RUNNING


async def test_a_forgotten_task_leaves_a_tombstone_that_fades(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    checkpoint = Checkpoint(path)
    await checkpoint.put(stored())
    await checkpoint.forget(ARN, ended_at=1000.0)
    assert checkpoint.load(forget_before=999.0) == Contents((), {ARN: 1000.0})
    assert checkpoint.load(forget_before=1001.0) == Contents((), {})
    await checkpoint.close()


async def test_images_come_back_until_they_are_forgotten(tmp_path: Path) -> None:
    image = PulledImage(image_id="sha256:1", names=("web",), ours=True, pulled_at=1.0, used_at=2.0)
    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    await checkpoint.put_image(image)
    await checkpoint.close()
    assert (await reopened(tmp_path / FILE_NAME)).images == (image,)

    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    await checkpoint.forget_image(image.image_id)
    await checkpoint.close()
    assert (await reopened(tmp_path / FILE_NAME)).images == ()


async def test_a_file_from_before_images_were_kept_gets_room_for_them(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    await Checkpoint(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE image")

    assert (await reopened(path)).images == ()


async def test_a_second_agent_on_the_same_file_is_refused(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    with pytest.raises(CheckpointError, match="another agent uses this data directory"):
        Checkpoint(tmp_path / FILE_NAME)
    await checkpoint.close()


async def test_a_file_of_a_newer_agent_is_put_aside_whole_and_an_empty_one_begun(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    newer = Checkpoint(path)
    await newer.put(stored())
    await newer.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    checkpoint, contents = open_checkpoint(tmp_path, "own", now=5.0, forget_before=0.0)
    assert contents.tasks == ()
    assert checkpoint.to_be_rebuilt()
    await checkpoint.close()
    with sqlite3.connect(tmp_path / f"{FILE_NAME}.newer-5") as connection:
        assert connection.execute("SELECT arn FROM task").fetchall() == [(ARN,)]
    connection.close()


async def test_a_file_of_another_identity_is_put_aside_and_the_own_one_stays(tmp_path: Path) -> None:
    theirs, _ = open_checkpoint(tmp_path, "theirs", now=1.0, forget_before=0.0)
    await theirs.put(stored())
    await theirs.close()

    own, contents = open_checkpoint(tmp_path, "own", now=5.0, forget_before=0.0)
    assert contents.tasks == ()
    await own.put(stored())
    await own.close()
    assert (tmp_path / f"{FILE_NAME}.foreign-5").exists()
    again, contents = open_checkpoint(tmp_path, "own", now=6.0, forget_before=0.0)
    await again.close()
    assert len(contents.tasks) == 1


@pytest.mark.parametrize("damage", [b"this is no database " * 500, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_damaged_file_is_put_aside_and_an_empty_one_begun(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    checkpoint, contents = open_checkpoint(tmp_path, "own", now=5.0, forget_before=0.0)
    assert contents == Contents((), {})
    await checkpoint.close()

    again, _ = open_checkpoint(tmp_path, "own", now=6.0, forget_before=0.0)
    assert again.to_be_rebuilt(), "a restart before the tasks are found again forgets nothing"
    again.mark_rebuilt()
    assert not again.to_be_rebuilt()
    await again.close()
    assert (tmp_path / f"{FILE_NAME}.damaged-5").read_bytes() == damage


async def test_a_row_that_makes_no_sense_counts_as_damage(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    checkpoint = Checkpoint(path)
    await checkpoint.put(stored())
    await checkpoint.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE task SET state = '{'")
    connection.close()

    checkpoint, contents = open_checkpoint(tmp_path, "own", now=5.0, forget_before=0.0)
    assert checkpoint.to_be_rebuilt()
    await checkpoint.close()
    assert contents.tasks == ()


async def test_a_failed_write_is_told_and_made_up_for_as_soon_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.checkpoint._RETRY_S", 0.01)
    path = tmp_path / FILE_NAME
    checkpoint = Checkpoint(path)
    checkpoint._connection.execute("PRAGMA query_only = ON")
    failed = checkpoint.put(stored())
    await asyncio.wait([failed])
    with pytest.raises(CheckpointError, match=r"cannot be written: .*readonly"):
        failed.result()
    checkpoint._connection.execute("PRAGMA query_only = OFF")
    async with asyncio.timeout(10):
        while checkpoint._writing is not None:
            await asyncio.sleep(0.01)
    checkpoint.abandon()
    await checkpoint.close()

    assert [each.plan.arn for each in (await reopened(path)).tasks] == [ARN]


async def test_a_disk_that_stays_full_keeps_nobody_from_ending(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / FILE_NAME)
    checkpoint._connection.execute("PRAGMA max_page_count = 1")
    await asyncio.wait([checkpoint.put(stored())])
    async with asyncio.timeout(5):
        await checkpoint.close()


async def test_a_full_disk_is_no_damage_and_what_it_holds_is_read(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    checkpoint = Checkpoint(path)
    await checkpoint.put(stored())
    await checkpoint.forget("ended long ago", 1.0)
    await checkpoint.forget("ended lately", 20.0)
    checkpoint._connection.execute("PRAGMA query_only = ON")  # to SQLite it is the same kind of refusal

    contents = checkpoint.load(forget_before=10.0)
    await checkpoint.close()
    assert [each.plan.arn for each in contents.tasks] == [ARN]
    assert contents.tombstones == {"ended lately": 20.0}


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    await Checkpoint(tmp_path / FILE_NAME).close()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("after_lines", [1, 7, 40, 151])
async def test_whatever_was_acknowledged_before_a_sigkill_is_there_after_it(
    tmp_path: Path, after_lines: int
) -> None:
    path = tmp_path / FILE_NAME
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CRASHER, path, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode().split() for _ in range(after_lines)]
    process.send_signal(signal.SIGKILL)
    lines += [line.decode().split() for line in (await process.stdout.read()).splitlines()]
    await process.wait()
    contents = await reopened(path)

    forgotten = {f"{ARN}{line[1]}" for line in lines if len(line) == 2}
    written = {f"{ARN}{line[0]}" for line in lines if len(line) == 1} - forgotten
    assert forgotten <= set(contents.tombstones)
    known = {task.plan.arn for task in contents.tasks} | set(contents.tombstones)
    assert written <= known
    assert not {task.plan.arn for task in contents.tasks} & set(contents.tombstones)
