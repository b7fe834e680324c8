"""SIGTERM and SIGINT: the first asks the agent to end in order, the second not to wait for anything."""

import asyncio
import math
import signal

import structlog

from agent.protocol.service_manager import ServiceManager

log = structlog.get_logger(__name__)

ULTIMATE_EXIT_S = 60
"""When an orderly end hangs, the process is ended all the same, so that its supervisor can start it again."""


class StopOrder:
    """Whether the agent was told to end, and whether it was told again."""

    def __init__(self, patience_s: float) -> None:
        """``patience_s`` is how much longer than usual an orderly end may take."""
        self._patience_s = patience_s
        self.given = asyncio.Event()
        self.repeated = asyncio.Event()

    def listen(self) -> None:
        """Take the process's signals for orders from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._give)

    def _give(self) -> None:
        if self.given.is_set():
            self.repeated.set()
            return
        log.info("agent_stops")
        limit_s = ULTIMATE_EXIT_S + math.ceil(self._patience_s)
        ServiceManager.of_this_process().stopping(within_s=limit_s)
        signal.alarm(limit_s)
        self.given.set()
