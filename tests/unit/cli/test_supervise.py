"""How `homeport up` keeps its children running."""

import asyncio
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from controller.cli.supervise import ProcessChild, how, keep_running
from tests.support.clock import FakeClock


@dataclass
class ScriptedChild:
    """A child whose every run lasts as long as the test says (seconds), and then fails."""

    clock: FakeClock
    runs: list[float]
    name: str = "agent"
    started_at: list[float] = field(default_factory=list)

    async def start(self) -> None:
        self.started_at.append(self.clock.monotonic())

    async def wait(self) -> int:
        run = len(self.started_at) - 1
        await asyncio.sleep(self.runs[run] if run < len(self.runs) else 1e9)
        return 7

    async def stop(self) -> None:
        raise AssertionError("keep_running never stops a child")


async def supervise(child: ScriptedChild, seconds: float) -> list[str]:
    said: list[str] = []
    stop = asyncio.Event()
    await child.start()
    keeping = asyncio.create_task(keep_running(child, stop, said.append))
    await asyncio.sleep(seconds)
    stop.set()
    await keeping
    return said


async def test_a_child_that_keeps_dying_is_restarted_with_growing_capped_delays(
    fake_clock: FakeClock,
) -> None:
    child = ScriptedChild(fake_clock, [0.0] * 7)
    said = await supervise(child, 3600)
    starts = child.started_at
    delays = [later - earlier for earlier, later in pairwise(starts)]
    assert delays == [1, 2, 4, 8, 16, 30, 30]
    assert said[0] == "the agent ended with status 7; starting it again in 1 s"
    assert len(said) == 7


async def test_a_good_run_starts_the_delays_over(fake_clock: FakeClock) -> None:
    child = ScriptedChild(fake_clock, [0.0, 0.0, 61.0])
    said = await supervise(child, 3600)
    assert [sentence.rpartition(" in ")[2] for sentence in said] == ["1 s", "2 s", "1 s"]


async def test_stopping_during_a_delay_starts_nothing_any_more(fake_clock: FakeClock) -> None:
    child = ScriptedChild(fake_clock, [0.0] * 10)
    await supervise(child, 20)
    starts = len(child.started_at)
    await asyncio.sleep(3600)
    assert len(child.started_at) == starts


async def test_a_real_child_is_ended_politely() -> None:
    child = ProcessChild("child", [sys.executable, "-c", "import time; time.sleep(60)"], {})
    await child.start()
    statuses = [child.status]
    await child.stop()
    statuses.append(child.status)
    assert statuses == [None, -15]
    assert how(-15) == "by signal 15"


async def test_a_real_child_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cli.supervise.STOP_PATIENCE_S", 0.2)
    deaf = tmp_path / "deaf"
    script = (
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(deaf)!r}).touch()\n"
        "time.sleep(60)\n"
    )
    child = ProcessChild("child", [sys.executable, "-c", script], {})
    await child.start()
    async with asyncio.timeout(20):
        while not deaf.exists():
            await asyncio.sleep(0.01)
    await child.stop()
    assert child.status == -9
