"""A task engine in a process of its own, to be killed: ``child.py DATA_DIR PAYLOAD`` accepts the tasks of
a file.
"""

import asyncio
import sys
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from agent.config import AgentConfig
from agent.engine.engine import TaskEngine
from agent.protocol import acs
from agent.protocol.clock import SystemClock
from agent.protocol.signing import Credentials
from tests.integration.engine.harness import CAPACITY, owner_of


async def main(data_dir: Path, payload: Path) -> None:
    """Run until killed. Reports stay unsent: what was seen is the next life's to tell."""
    config = AgentConfig(credentials=Credentials("key", "secret"), data_dir=data_dir)
    engine = TaskEngine(config, owner_of(data_dir), CAPACITY, SystemClock(), CollectorRegistry())
    await engine.start()
    running = asyncio.create_task(engine.run())
    await engine.accept(msgspec.json.decode(payload.read_bytes(), type=tuple[acs.Task, ...]))
    sys.stderr.write("accepted\n")
    await running


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
