"""Host ports in a row for ranges of container ports; the engine itself chooses single ports only."""

import socket
from collections.abc import Collection, Iterator
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

    def __init__(self, bounds: tuple[int, int], reserved: Collection[int]) -> None:
        """``reserved`` ports are never chosen."""
        self._first, self._last = bounds
        self._reserved = frozenset(reserved)
        self._next = self._first

    def choose(self, length: int, protocol: str) -> int:
        """The first of ``length`` ports in a row that nobody uses now. Raises ``HostPortTakenError``.

        Whoever is quicker may still take one of them before the container starts.
        """
        for first in self._candidates(length):
            if self._all_free(first, length, protocol):
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

    def _all_free(self, first: int, length: int, protocol: str) -> bool:
        ports = range(first, first + length)
        return self._reserved.isdisjoint(ports) and all(_is_free(port, protocol) for port in ports)


def _is_free(port: int, protocol: str) -> bool:
    with socket.socket(socket.AF_INET, _KINDS[protocol]) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
