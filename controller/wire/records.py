"""One message that passed, as `homeport wire --json` writes it: a JSON object a line."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

WIRE_PATH = "/wire"
"""Where a controller streams them."""

Way = Literal["acs", "tcs", "api"]
Sender = Literal["agent", "controller"]


class UnreadableRecord(ValueError):
    """A line that is no record."""


class WireRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message that passed between the agent of a container instance and the controller."""

    number: int
    """Counts every record of a controller while somebody watches, shown to this watcher or not."""
    at: float
    """When it passed, in epoch seconds of the controller."""
    way: Way
    connection: int
    """Tells the connections of one life of the controller apart; 0 for calls of the API."""
    cluster: str
    instance: str
    """Id of the container instance."""
    sender: Sender
    type: str
    """Name of the message; of a call its operation, and of an answer the same or the name of its error."""
    message: Any
    """Its members, with secrets masked."""
    call: str = ""
    """Request id of a call of the API, the same for its answer."""
    dropped: int = 0
    """How many records were lost right before this one because the watcher did not keep up."""


_DECODER = msgspec.json.Decoder(WireRecord)
_ENCODER = msgspec.json.Encoder()


def line_of(record: WireRecord) -> bytes:
    """A record as a line."""
    return _ENCODER.encode(record) + b"\n"


def record_of(line: bytes | str) -> WireRecord:
    """The record in a line.

    Raises:
        UnreadableRecord: it is none.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UnreadableRecord(str(error)) from None
