"""How benchmarks say what they measured: a line a figure or a table, and nothing asserted about time."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import psutil

FULL = os.environ.get("HOMEPORT_BENCHMARKS") == "full"
"""Whether the full mode was asked for; the short mode gives rough figures and proves the instrument."""


def say(name: str, samples: Sequence[float], unit: str) -> None:
    """Print minimum, median and maximum of a measurement."""
    ordered = sorted(samples)
    print(
        f"BENCHMARK {name}: min {ordered[0]:.4g} median {statistics.median(ordered):.4g} "
        f"max {ordered[-1]:.4g} {unit} over {len(ordered)} rounds"
    )


def machine_facts(engine: docker.DockerClient) -> dict[str, Any]:
    """What a reader has to know of the machine to make something of figures."""
    info = engine.info()
    return {
        "cpus": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_mib": psutil.virtual_memory().total >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "docker": info["ServerVersion"],
        "storage_driver": info["Driver"],
        "cgroup": f"v{info.get('CgroupVersion', '1')} {info['CgroupDriver']}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def publish(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], document: Mapping[str, Any]
) -> None:
    """Print a table for people and, on one line, the same with every sample as JSON for programs."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    print(f"\n{name}")
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"BENCHMARK-JSON {json.dumps({'benchmark': name, **document})}")


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
