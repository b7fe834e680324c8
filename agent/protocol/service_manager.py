"""Telling systemd how this process fares: systemd's notification protocol, which is one datagram a message.

Under any other parent there is no ``NOTIFY_SOCKET``, and nothing is told.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

_MICROSECONDS = 1e6
_BEATS_PER_LIMIT = 3
"""Signs of life within systemd's limit: two may get lost in a stall before it ends the process."""


class ServiceManager:
    """The systemd that started this process, if one did."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        """``environment`` is the process's own. What systemd set for another ``pid`` does not count."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        for_us = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        limit = environment.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(limit) / _MICROSECONDS if for_us and limit.isdigit() else 0.0

    @classmethod
    def of_this_process(cls) -> "ServiceManager":
        return cls(os.environ, os.getpid())

    def ready(self, status: str) -> None:
        """The start is over, and the service does its work."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line on what the service does, for ``systemctl status``."""
        self._send(f"STATUS={status}")

    def stopping(self, within_s: float) -> None:
        """The service has begun to end, and may take ``within_s`` seconds for it, whatever its unit says."""
        self._send(f"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={round(within_s * _MICROSECONDS)}")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Give signs of life, as long as the event loop turns, for systemd to end a process that hangs."""
        beating = asyncio.create_task(self._beat(), name="watchdog")
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def _beat(self) -> None:
        while self._watchdog_s > 0:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / _BEATS_PER_LIMIT)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is one without a file: its first byte is zero.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.setblocking(False)
            try:
                connection.sendto(message.encode(), address)
            except OSError:
                # Nobody is hurt by a message that systemd does not get, except by many: then it restarts us.
                return
