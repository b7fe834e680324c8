"""What every record of the state has in common."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

Document = dict[str, Any]
"""A mapping shaped by the service model, checked on its way in and never changed afterwards."""


class Entity(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A record of the state.

    `kind` names it in the store, `codec_version` the form of its stored body, and `durable` tells whether it
    is stored at all: volatile kinds live in memory only and vanish with the process.
    """

    kind: ClassVar[str]
    codec_version: ClassVar[int] = 1
    durable: ClassVar[bool] = True

    @property
    def key(self) -> str:
        """The record's identity among its kind."""
        raise NotImplementedError


class Tag(msgspec.Struct, frozen=True, gc=False):
    """One resource tag."""

    key: str
    value: str = ""
