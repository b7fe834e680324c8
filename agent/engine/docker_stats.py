"""A container's statistics in the shape of the Docker Engine API, read from the kernel.

This is what task metadata serves: tools that were written against Docker's statistics read them there. The
figures of the moment before, which tools compare with, are those of the sampler's last pass.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent.engine.cgroups import Place, Running, fields
from agent.engine.samples import Sample, parse_blkio, parse_interfaces, parse_io

_NANOSECONDS = 1_000_000_000
_TICK_NS = 10_000_000
_NEVER = "0001-01-01T00:00:00Z"
_LEAST_APART_S = 1.0
"""Figures that the kernel counts in hundredths of a second are not compared over less."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """When statistics are read, and what is the same for all containers then."""

    now: float
    """Epoch seconds."""
    monotonic: float
    machine_s: float
    """CPU time of the whole machine, idle time included."""
    machine_memory: int
    """Bytes."""


def docker_stats(
    place: Place,
    container: Running,
    docker_name: str,
    moment: Moment,
    samples: Sequence[Sample],
) -> dict[str, Any]:
    """What ``/containers/<id>/stats`` says, with ``network_rate_stats`` as ECS adds them.

    ``samples`` are the last ones, oldest first. Raises ``OSError``, ``ValueError`` or ``KeyError`` for a
    container that is just ending.
    """
    earlier = [sample for sample in samples if moment.monotonic - sample.at >= _LEAST_APART_S]
    before = earlier[-1] if earlier else None
    body: dict[str, Any] = {
        "read": _time(moment.now),
        "preread": _time(moment.now - moment.monotonic + before.at) if before else _NEVER,
        "pids_stats": _pids(place),
        "blkio_stats": _blocks(place),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(place, moment.machine_s),
        "precpu_stats": _cpu_before(before),
        "memory_stats": _memory(place, moment.machine_memory),
        "name": f"/{docker_name}",
        "id": container.docker_id,
    }
    text = place.interfaces() if container.own_network else None
    if text is not None:
        networks = parse_interfaces(text)
        body["networks"] = {name: msgspec.structs.asdict(network) for name, network in networks.items()}
        body |= with_rates(samples)
    return body


def with_rates(samples: Sequence[Sample]) -> dict[str, Any]:
    """ECS's addition: bytes per second in both directions between the last two samples, if there are two."""
    if len(samples) < 2:
        return {}
    first, last = samples[-2:]
    if first.network is None or last.network is None or last.at <= first.at:
        return {}
    seconds = last.at - first.at
    rates = {
        "rx_bytes_per_sec": max(0, last.network.rx_bytes - first.network.rx_bytes) / seconds,
        "tx_bytes_per_sec": max(0, last.network.tx_bytes - first.network.tx_bytes) / seconds,
    }
    return {"network_rate_stats": rates}


def _cpu(place: Place, machine_s: float) -> dict[str, Any]:
    if place.version == 2:
        figures = fields(place.read("cpu", "cpu.stat"))
        usage: dict[str, Any] = {
            "total_usage": figures["usage_usec"] * 1000,
            "usage_in_kernelmode": figures["system_usec"] * 1000,
            "usage_in_usermode": figures["user_usec"] * 1000,
        }
        throttled_ns = figures.get("throttled_usec", 0) * 1000
    else:
        ticks = fields(place.read("cpuacct", "cpuacct.stat"))
        figures = fields(place.read("cpu", "cpu.stat"))
        usage = {
            "total_usage": int(place.read("cpuacct", "cpuacct.usage")),
            "percpu_usage": [int(each) for each in place.read("cpuacct", "cpuacct.usage_percpu").split()],
            "usage_in_kernelmode": ticks["system"] * _TICK_NS,
            "usage_in_usermode": ticks["user"] * _TICK_NS,
        }
        throttled_ns = figures.get("throttled_time", 0)
    return {
        "cpu_usage": usage,
        "system_cpu_usage": round(machine_s * _NANOSECONDS),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": figures.get("nr_periods", 0),
            "throttled_periods": figures.get("nr_throttled", 0),
            "throttled_time": throttled_ns,
        },
    }


def _cpu_before(sample: Sample | None) -> dict[str, Any]:
    known = sample or Sample(0.0, 0.0, 0)
    body: dict[str, Any] = {
        "cpu_usage": {
            "total_usage": round(known.cpu_s * _NANOSECONDS),
            "usage_in_kernelmode": round(known.kernel_s * _NANOSECONDS),
            "usage_in_usermode": round(known.user_s * _NANOSECONDS),
        },
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    if sample is not None:
        body |= {
            "system_cpu_usage": round(sample.machine_s * _NANOSECONDS),
            "online_cpus": os.cpu_count() or 1,
        }
    return body


def _memory(place: Place, machine_memory: int) -> dict[str, Any]:
    stats = fields(place.read("memory", "memory.stat"))
    if place.version == 2:
        limit = place.read("memory", "memory.max").strip()
        return {
            "usage": int(place.read("memory", "memory.current")),
            "stats": stats,
            "limit": machine_memory if limit == "max" else min(int(limit), machine_memory),
        }
    body = {
        "usage": int(place.read("memory", "memory.usage_in_bytes")),
        "max_usage": int(place.read("memory", "memory.max_usage_in_bytes")),
        "stats": stats,
        "limit": min(int(place.read("memory", "memory.limit_in_bytes")), machine_memory),
    }
    if failures := int(place.read("memory", "memory.failcnt")):
        body["failcnt"] = failures
    return body


def _pids(place: Place) -> dict[str, int]:
    try:
        limit = place.read("pids", "pids.max").strip()
        body = {"current": int(place.read("pids", "pids.current"))}
    except OSError:  # the controller is not there, or not enabled
        return {}
    return body if limit == "max" else {**body, "limit": int(limit)}


def _blocks(place: Place) -> dict[str, Any]:
    names = (
        "io_service_bytes",
        "io_serviced",
        "io_queue",
        "io_service_time",
        "io_wait_time",
        "io_merged",
        "io_time",
        "sectors",
    )
    body: dict[str, Any] = {f"{name}_recursive": [] for name in names}
    try:
        if place.version == 2:
            text = place.read("io", "io.stat")
            entries = parse_io(text), parse_io(text, what="ios")
        else:
            prefix = "blkio.throttle.io_service"
            entries = (
                parse_blkio(place.read("blkio", f"{prefix}_bytes_recursive")),
                parse_blkio(place.read("blkio", f"{prefix}d_recursive")),
            )
    except OSError:  # the controller is not there, or not enabled
        return body
    body["io_service_bytes_recursive"], body["io_serviced_recursive"] = entries
    return body


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
