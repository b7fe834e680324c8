"""An agent's end of an ACS connection without a network: tests read what it was sent and say what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec

from agent.protocol import acs, envelope
from controller.gateway.socket import Disconnected

M = TypeVar("M", bound=msgspec.Struct)


class Peer:
    """Stands in for `AgentSocket`. `reads` is cleared to have the agent read no more."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, msgspec.Struct]] = []
        self.closed_with: int | None = None
        self.was_cut = False
        self.reads = asyncio.Event()
        self.reads.set()
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()

    # --- what a session uses ---

    async def send(self, frame: str) -> None:
        await self.reads.wait()
        if self.was_cut:
            raise Disconnected("cut")
        self.sent.append((asyncio.get_running_loop().time(), envelope.decode_acs(frame)))

    async def frames(self) -> AsyncIterator[str]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = code
        self._frames.put_nowait(None)

    def cut(self) -> None:
        self.was_cut = True
        self._frames.put_nowait(None)

    # --- what a test uses ---

    def say(self, message: msgspec.Struct | str) -> None:
        """Have the agent send a message, or a raw frame."""
        self._frames.put_nowait(message if isinstance(message, str) else envelope.encode(message))

    def acknowledge(self, message: Any) -> None:
        """Have the agent acknowledge a message."""
        self.say(acs.AckRequest(message_id=message.message_id))

    def all(self, kind: type[M]) -> list[M]:
        """Every message of a kind that the agent was sent so far."""
        return [message for _, message in self.sent if isinstance(message, kind)]

    def times(self, kind: type[msgspec.Struct]) -> list[float]:
        """When each message of a kind was sent."""
        return [at for at, message in self.sent if isinstance(message, kind)]

    def task_ids(self) -> list[tuple[str, str]]:
        """The end of each task ARN sent in payloads so far, with its status."""
        return [
            ((task.arn or "")[-2:], task.desired_status or "")
            for payload in self.all(acs.PayloadMessage)
            for task in payload.tasks
        ]
