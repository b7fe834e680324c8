"""A disk that is full costs the task that needs it, not the agent and not what runs already."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.checkpoint import CheckpointError
from tests.integration.engine.harness import Harness
from tests.support.own_engine import own_engine

pytestmark = pytest.mark.engine


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of its own at ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True, timeout=10)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True, timeout=10)


def fill(directory: Path) -> Path:
    """Take all that is left of a file system; returns what to remove to get it back."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(os.urandom(4096)):
            pass
    return filler


async def test_while_the_agents_own_disk_is_full_new_tasks_wait_and_everything_else_goes_on(
    idle_harness: Harness,
) -> None:
    with small_disk(idle_harness.data_dir, "1m") as disk:
        await idle_harness.start()
        try:
            old = await idle_harness.run()
            dying = await idle_harness.run()
            filler = fill(disk)
            new = idle_harness.task()
            with pytest.raises(CheckpointError, match="disk is full"):
                await idle_harness.engine.accept((new,))
            with pytest.raises(CheckpointError):
                await idle_harness.engine.stop_tasks([old.arn or ""])
            idle_harness.client.api.kill(idle_harness.docker_name(dying))

            await idle_harness.reported(old, "STOPPED")
            assert (await idle_harness.reported(dying, "STOPPED")).containers[0].exit_code == 137
            await idle_harness.eventually(
                lambda: "can write to its disk" in idle_harness.record(new).state.waits_for,
                "the reason shown",
            )
            assert idle_harness.containers_of(new) == []
            filler.unlink()

            await idle_harness.reported(new, "RUNNING")
        finally:
            await idle_harness.stop()


async def test_an_agent_that_starts_on_a_full_disk_looks_after_what_runs(idle_harness: Harness) -> None:
    with small_disk(idle_harness.data_dir, "1m") as disk:
        await idle_harness.start()
        task = await idle_harness.run()
        await idle_harness.stop()
        idle_harness.reports.clear()
        filler = fill(disk)
        await idle_harness.start()
        try:
            idle_harness.client.api.kill(idle_harness.docker_name(task))
            assert (await idle_harness.reported(task, "STOPPED")).containers[0].exit_code == 137
        finally:
            filler.unlink()
            await idle_harness.stop()


async def test_while_the_engines_disk_is_full_a_task_that_needs_it_fails_with_the_reason(
    tmp_path: Path, cluster_name: str
) -> None:
    with own_engine(tmp_path / "dockerd.log", disk="64m") as engine, engine.client() as client:
        harness = Harness(tmp_path / "agent", cluster_name, engine.image, client)
        await harness.start(docker_host=engine.host)
        try:
            running = await harness.run(network_mode="none")
            filler = await asyncio.to_thread(fill, engine.data_root)
            failed = harness.task(network_mode="none")
            await harness.engine.accept((failed,))

            stopped = await harness.reported(failed, "STOPPED")
            assert "no space left on device" in stopped.reason
            assert harness.statuses(running) == ["RUNNING"]
            filler.unlink()
            await harness.run(network_mode="none")
        finally:
            await harness.stop()
            harness.remove_everything()
