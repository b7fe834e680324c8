"""Host ports in a row for ranges of container ports; the engine itself chooses single ports only."""

import socket
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from agent.engine.errors import HostPortTakenError

_KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FALLBACK = (49153, 65535)
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def dynamic_range(configured: tuple[int, int] | None, kernel_range: Path = _KERNEL_RANGE) -> tuple[int, int]:
    """First and last port that may be chosen: as configured, else the kernel's range for such ports."""
    if configured is not None:
        return configured
    try:
        first, last = kernel_range.read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return _FALLBACK


class HostPortRanges:
    """Finds them. It goes round, so that containers made at the same time are not given the same ports."""

    def __init__(self, bounds: tuple[int, int], spoken_for: Callable[[], Set[int]]) -> None:
        """``spoken_for`` gives the ports that are not to be chosen, in use or not."""
        self._first, self._last = bounds
        self._spoken_for = spoken_for
        self._next = self._first

    def choose(self, length: int, protocol: str) -> int:
        """The first of ``length`` ports in a row that nobody uses now. Raises ``HostPortTakenError``.

        Whoever is quicker may still take one of them before the container starts.
        """
        spoken_for = self._spoken_for()
        for first in self._candidates(length):
            ports = range(first, first + length)
            if spoken_for.isdisjoint(ports) and all(_is_free(port, protocol) for port in ports):
                self._next = first + length
                return first
        raise HostPortTakenError(
            f"a host port is unavailable: no {length} free {protocol} ports in a row in "
            f"{self._first}-{self._last}"
        )

    def _candidates(self, length: int) -> Iterator[int]:
        """Every place where the row can begin, from where the last search ended and round to there."""
        beginnings = range(self._first, self._last - length + 2)
        yield from (first for first in beginnings if first >= self._next)
        yield from (first for first in beginnings if first < self._next)


def _is_free(port: int, protocol: str) -> bool:
    with socket.socket(socket.AF_INET, _KINDS[protocol]) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
