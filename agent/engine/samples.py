"""What one container had used at one moment: read from the kernel, or else from the engine's own figures."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent.engine.cgroups import Place, Running, field, fields, read_text

_NANOSECONDS = 1e9
_MICROSECONDS = 1e6
_TICKS = 100
"""The unit of ``cpuacct.stat`` and ``/proc/stat`` in a second; fixed by the kernel's interface on every
architecture that Docker runs on.
"""
_CPU_COLUMNS = 7
"""user, nice, system, idle, iowait, irq and softirq: what Docker, too, counts as the machine's CPU time."""


class Network(msgspec.Struct, frozen=True, gc=False):
    """Counters since the container started, over all its interfaces but the loopback."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What one container had used at one moment (monotonic seconds)."""

    at: float
    cpu_s: float
    """CPU time since it started, over all cores."""
    memory: int
    """Bytes, without the page cache that the kernel can take back."""
    network: Network | None = None
    user_s: float = 0.0
    """The part of ``cpu_s`` outside the kernel."""
    kernel_s: float = 0.0
    machine_s: float = 0.0
    """CPU time of the whole machine, idle time included."""
    read_bytes: int | None = None
    """From block devices; None where the kernel does not count it."""
    written_bytes: int | None = None
    restarts: int | None = None
    """How often the container had been started again; None if it has no restart policy."""


def take_sample(place: Place, container: Running, at: float, machine_s: float) -> Sample:
    """Read the kernel's files.

    Raises ``OSError``, ``ValueError`` or ``KeyError`` for a container that is just ending.
    """
    text = place.interfaces() if container.own_network else None
    network = None if text is None else summed(parse_interfaces(text).values())
    read, written = _block_bytes(place)
    if place.version == 2:
        cpu = fields(place.read("cpu", "cpu.stat"))
        used, cache = int(place.read("memory", "memory.current")), "inactive_file"
        cpu_s, user_s, kernel_s = (
            cpu[name] / _MICROSECONDS for name in ("usage_usec", "user_usec", "system_usec")
        )
    else:
        ticks = fields(place.read("cpuacct", "cpuacct.stat"))
        used, cache = int(place.read("memory", "memory.usage_in_bytes")), "total_cache"
        cpu_s = int(place.read("cpuacct", "cpuacct.usage")) / _NANOSECONDS
        user_s, kernel_s = ticks["user"] / _TICKS, ticks["system"] / _TICKS
    return Sample(
        at=at,
        cpu_s=cpu_s,
        memory=max(0, used - field(place.read("memory", "memory.stat"), cache)),
        network=network,
        user_s=user_s,
        kernel_s=kernel_s,
        machine_s=machine_s,
        read_bytes=read,
        written_bytes=written,
        restarts=container.restarts,
    )


def sample_from_engine(body: Mapping[str, Any], container: Running, at: float) -> Sample:
    """A sample out of the engine's own figures.

    Raises ``KeyError`` for a container that has just ended, whose figures are empty.
    """
    memory, cpu = body["memory_stats"], body["cpu_stats"]
    cache = memory["stats"].get("total_cache", memory["stats"].get("inactive_file", 0))
    networks = body.get("networks")
    blocks = (body.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return Sample(
        at=at,
        cpu_s=cpu["cpu_usage"]["total_usage"] / _NANOSECONDS,
        memory=max(0, memory["usage"] - cache),
        network=summed(msgspec.convert(each, Network) for each in networks.values()) if networks else None,
        user_s=cpu["cpu_usage"].get("usage_in_usermode", 0) / _NANOSECONDS,
        kernel_s=cpu["cpu_usage"].get("usage_in_kernelmode", 0) / _NANOSECONDS,
        machine_s=cpu.get("system_cpu_usage", 0) / _NANOSECONDS,
        read_bytes=None if blocks is None else _by_operation(blocks, "read"),
        written_bytes=None if blocks is None else _by_operation(blocks, "write"),
        restarts=container.restarts,
    )


def parse_interfaces(text: str) -> dict[str, Network]:
    """The interfaces of ``/proc/<pid>/net/dev`` without the loopback."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            columns = [int(column) for column in counters.split()]
            found[name.strip()] = Network(*columns[:4], *columns[8:12])
    return found


def summed(networks: Iterable[Network]) -> Network:
    """The counters of several interfaces together."""
    each = [msgspec.structs.astuple(network) for network in networks]
    return Network(*(sum(column) for column in zip(*each, strict=True)))


def machine_cpu_s(proc: str) -> float:
    """CPU time of the whole machine since it started. Raises ``OSError``."""
    line = read_text(f"{proc}/stat").partition("\n")[0]
    return sum(int(column) for column in line.split()[1 : 1 + _CPU_COLUMNS]) / _TICKS


def _block_bytes(place: Place) -> tuple[int | None, int | None]:
    try:
        if place.version == 2:
            entries = parse_io(place.read("io", "io.stat"))
        else:
            entries = parse_blkio(place.read("blkio", "blkio.throttle.io_service_bytes_recursive"))
    except OSError:  # the controller is not there, or not enabled
        return None, None
    return _by_operation(entries, "read"), _by_operation(entries, "write")


def parse_blkio(text: str) -> list[dict[str, Any]]:
    """A file of the blkio controller (``8:0 Read 4096``) in the shape of the engine's API."""
    found = []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        operation, _, value = rest.partition(" ")
        if ":" in device and value:
            major, _, minor = device.partition(":")
            found.append({"major": int(major), "minor": int(minor), "op": operation, "value": int(value)})
    return found


def parse_io(text: str, *, what: str = "bytes") -> list[dict[str, Any]]:
    """``io.stat`` (``8:0 rbytes=4096 wbytes=0 rios=1 …``) in the same shape; ``what`` is ``bytes`` or
    ``ios``.
    """
    found = []
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        values = dict(pair.split("=", 1) for pair in pairs)
        for letter, operation in (("r", "read"), ("w", "write")):
            if f"{letter}{what}" in values:
                value = int(values[f"{letter}{what}"])
                found.append({"major": int(major), "minor": int(minor), "op": operation, "value": value})
    return found


def _by_operation(entries: Iterable[Mapping[str, Any]], operation: str) -> int:
    return sum(int(entry["value"]) for entry in entries if str(entry["op"]).lower() == operation)
