"""A task engine in a process of its own, to be killed."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.protocol import acs
from tests.integration.engine.harness import Harness
from tests.support.processes import REPOSITORY

CHILD = Path(__file__).with_name("child.py")


class Victim:
    """An engine in a process of its own."""

    def __init__(self, harness: Harness, tasks: Sequence[acs.Task]) -> None:
        self._harness = harness
        self._payload = harness.data_dir.parent / "payload.json"
        self._payload.write_bytes(msgspec.json.encode(tasks))
        self._process: asyncio.subprocess.Process

    async def accepted(self) -> "Victim":
        """Start it and wait until it has accepted the tasks."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            CHILD,
            self._harness.data_dir,
            self._payload,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert self._process.stderr is not None
        line = await asyncio.wait_for(self._process.stderr.readline(), 30)
        assert line == b"accepted\n", (line + await self._process.stderr.read()).decode()
        return self

    async def kill(self) -> None:
        """SIGKILL, at this very moment."""
        self._process.kill()
        await self._process.wait()
