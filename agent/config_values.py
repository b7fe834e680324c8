"""How the text of a setting becomes its value: the syntaxes that amazon-ecs-agent takes, which are Go's.

Each parser raises ``ValueError`` with a sentence that says what is accepted.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_HIGHEST_PORT = 65535


class Address(NamedTuple):
    """A listening address. Port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def boolean(text: str) -> bool:
    """Go's ``strconv.ParseBool``."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("accepted are 1, t, T, true, True, TRUE, 0, f, F, false, False and FALSE")


def go_duration_s(text: str) -> float:
    """Go's ``time.ParseDuration`` without negative ones, in seconds: ``1h30m``, ``10s``, ``250ms``."""
    rest = text.removeprefix("+")
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while match := _DURATION_PART.match(rest, position):
        total += float(match[1]) * _UNIT_S[match[2]]
        position = match.end()
    if not rest or position != len(rest):
        raise ValueError("accepted is a duration such as 30s, 10m or 1h30m")
    return total


def duration_s(at_least: float = 0.0, at_most: float | None = None) -> Callable[[str], float]:
    """A parser of durations within bounds, in seconds."""

    def parse(text: str) -> float:
        value = go_duration_s(text)
        if value < at_least:
            raise ValueError(f"accepted is a duration of at least {at_least:g}s")
        if at_most is not None and value > at_most:
            raise ValueError(f"accepted is a duration of at most {at_most:g}s")
        return value

    return parse


def whole_number(at_least: int = 0, at_most: int | None = None) -> Callable[[str], int]:
    """A parser of decimal integers within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < at_least:
            raise ValueError(f"accepted is a whole number of at least {at_least}")
        if at_most is not None and int(text) > at_most:
            raise ValueError(f"accepted is a whole number of at most {at_most}")
        return int(text)

    return parse


def percentage(text: str) -> int:
    """A whole number from 1 to 100."""
    number = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= number <= 100:
        raise ValueError("accepted is a whole number from 1 to 100")
    return number


def comma_list(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(word for part in text.split(",") if (word := part.strip()))


def is_engine_size(text: str) -> bool:
    """Whether the container engine takes the text for a size: a number, and ``k``, ``m`` or ``g``."""
    return bool(re.fullmatch(r"[1-9][0-9]*[kmg]?", text))


def one_of(*words: str) -> Callable[[str], str]:
    """A parser that takes one of ``words``."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"accepted are {', '.join(words)}")
        return text

    return parse


def ports(text: str) -> tuple[int, ...]:
    """A JSON list of port numbers."""
    numbers = _json(text, list[int], "a JSON list of port numbers such as [22, 2375]")
    if not all(0 < number <= _HIGHEST_PORT for number in numbers):
        raise ValueError(f"accepted is a JSON list of port numbers from 1 to {_HIGHEST_PORT}")
    return tuple(numbers)


def names_out_of(known: frozenset[str]) -> Callable[[str], tuple[str, ...]]:
    """A parser of a JSON list of names, all of which must be in ``known``."""

    def parse(text: str) -> tuple[str, ...]:
        names = _json(text, list[str], "a JSON list of names")
        unknown = sorted(set(names) - known)
        if unknown:
            raise ValueError(f"{', '.join(unknown)} unknown; accepted are {', '.join(sorted(known))}")
        return tuple(names)

    return parse


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """A JSON object whose values are text, as pairs in its own order."""
    return tuple(_json(text, dict[str, str], "a JSON object whose values are text").items())


def port_range(text: str) -> tuple[int, int]:
    """``LOW-HIGH``, both included."""
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if match and 0 < int(match[1]) <= int(match[2]) <= _HIGHEST_PORT:
        return int(match[1]), int(match[2])
    raise ValueError("accepted is a range of ports such as 32768-60999")


def address(text: str) -> Address:
    """``HOST:PORT``; IPv6 hosts in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _HIGHEST_PORT:
        raise ValueError("accepted is HOST:PORT such as 127.0.0.1:51678")
    return Address(host.strip("[]"), int(port))


def endpoint(text: str) -> str:
    """An HTTP URL; without a scheme it is taken as HTTPS, as amazon-ecs-agent does."""
    url = text if "://" in text else f"https://{text}"
    if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", url):
        raise ValueError("accepted is a URL such as http://127.0.0.1:8480")
    return url.rstrip("/")


def _json(text: str, kind: type[T], accepted: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"accepted is {accepted}") from error
