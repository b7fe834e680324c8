"""Frames of both websockets: ``{"type": "<TypeName>", "message": {...}}``, and TCS's signed header block."""

from collections.abc import Iterable, Mapping

import msgspec

from agent.protocol import acs, casefold, extensions, tcs

HEADER_END = "\r\n\r\n"


class MalformedFrame(ValueError):
    """A frame that is not an envelope, or whose message does not fit its type."""


class UnknownMessage(msgspec.Struct, frozen=True, gc=False):
    """A well-formed envelope of a type that this side does not know. Such frames are logged and dropped."""

    type: str


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"{}")


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ENCODER = msgspec.json.Encoder()


class _Decoders:
    def __init__(self, kinds: Iterable[type[msgspec.Struct]]) -> None:
        self.kinds = {kind.__name__: kind for kind in kinds}
        self.strict = {name: msgspec.json.Decoder(kind) for name, kind in self.kinds.items()}

    def decode(self, text: str | bytes, read_as_go: frozenset[str]) -> msgspec.Struct:
        try:
            envelope = _ENVELOPE.decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise MalformedFrame(f"not a message envelope: {error}") from error
        kind = self.kinds.get(envelope.type)
        if kind is None:
            return UnknownMessage(envelope.type)
        try:
            if envelope.type not in read_as_go:
                try:
                    return self.strict[envelope.type].decode(envelope.message)
                except msgspec.ValidationError:
                    pass  # null in place of an absent member: read it once more, as Go would
            return casefold.convert(msgspec.json.decode(envelope.message), kind)
        except msgspec.DecodeError as error:
            raise MalformedFrame(f"{envelope.type}: {error}") from error


_ACS = _Decoders((*acs.TO_AGENT, *acs.TO_CONTROLLER, *extensions.TO_AGENT, *extensions.TO_CONTROLLER))
_TCS = _Decoders((*tcs.TO_AGENT, *tcs.TO_CONTROLLER))
# What an agent receives is rare and may come from any controller, so it is always read as leniently as Go
# reads it. What a controller receives comes by the thousand per second, in the schema's own spelling.
_ACS_AS_GO = frozenset(kind.__name__ for kind in acs.TO_AGENT)
_TCS_AS_GO = frozenset(kind.__name__ for kind in tcs.TO_AGENT)


def encode(message: msgspec.Struct) -> str:
    """The frame that carries ``message``; its type name is the name of its class."""
    return f'{{"type":"{type(message).__name__}","message":{_ENCODER.encode(message).decode()}}}'


def decode_acs(text: str | bytes) -> msgspec.Struct | UnknownMessage:
    """The message in a frame of the ACS websocket, either way. Raises ``MalformedFrame``."""
    return _ACS.decode(text, _ACS_AS_GO)


def decode_tcs(text: str | bytes) -> msgspec.Struct | UnknownMessage:
    """The message in a frame of the TCS websocket, either way, without header block.

    Raises ``MalformedFrame``.
    """
    return _TCS.decode(text, _TCS_AS_GO)


def join_signed_frame(headers: Mapping[str, str], body: str) -> str:
    """A TCS frame from agent to controller: the headers as HTTP writes them, an empty line, the envelope."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in sorted(headers.items()))
    return f"{lines}\r\n{body}"


def split_signed_frame(text: str) -> tuple[dict[str, str] | None, str]:
    """The headers (names as sent) and the envelope of a TCS frame; None if it has no header block.

    Raises ``MalformedFrame`` if the frame starts like a header block and is none.
    """
    if text.startswith("{"):
        return None, text
    block, separator, body = text.partition(HEADER_END)
    if not separator:
        raise MalformedFrame("the header block of the frame has no end")
    headers = {}
    for line in block.split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedFrame(f"not a header line: {line[:40]!r}")
        headers[name.strip()] = value.strip()
    return headers, body
