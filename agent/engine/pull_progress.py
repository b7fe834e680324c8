"""How far a pull has come, read from what the engine tells while it pulls."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

PULL_STATES = ("WAITING", "PULLING", "RETRYING")
"""Waits for its turn, is under way, pauses before another attempt."""

_THERE = frozenset({"Pull complete", "Already exists"})
_LOADED = frozenset({"Verifying Checksum", "Download complete", "Extracting", *_THERE})
_DIGEST = re.compile(r"Digest: (sha256:[0-9a-f]{64})")


class PullProgress(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One pull at one moment. ``started_at`` is in epoch seconds, sizes are in bytes."""

    image: str
    state: str
    """One of ``PULL_STATES``."""
    started_at: float
    attempt: int
    layers: int = 0
    layers_done: int = 0
    bytes_loaded: int = 0
    bytes_total: int = 0
    """Of the layers whose size the registry has told so far."""


class PullListener:
    """Hears the engine's lines during one attempt. Written by the thread that pulls, read by the loop."""

    def __init__(self) -> None:
        self.begun = False
        self.digest = ""
        """What the registry said that the name stands for; empty until then."""
        self._layers: dict[str, str] = {}
        self._loaded: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def hear(self, line: Mapping[str, Any]) -> None:
        """Take note of one line of the engine's answer."""
        self.begun = True
        status, layer = str(line.get("status") or ""), line.get("id")
        if match := _DIGEST.fullmatch(status):
            self.digest = match[1]
        if not layer or status.startswith("Pulling from"):
            return
        self._layers[layer] = status
        detail = line.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._totals[layer] = int(detail["total"])
            self._loaded[layer] = int(detail.get("current") or 0)
        elif status in _LOADED and layer in self._totals:
            self._loaded[layer] = self._totals[layer]

    def progress(self, image: str, state: str, started_at: float, attempt: int) -> PullProgress:
        """What was heard so far."""
        layers = tuple(self._layers.values())
        return PullProgress(
            image=image,
            state=state,
            started_at=started_at,
            attempt=attempt,
            layers=len(layers),
            layers_done=sum(status in _THERE for status in layers),
            bytes_loaded=sum(tuple(self._loaded.values())),
            bytes_total=sum(tuple(self._totals.values())),
        )
