"""How benchmarks say what they measured: a line a figure, and nothing asserted about time."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

FULL = os.environ.get("HOMEPORT_BENCHMARKS") == "full"
"""Whether the full mode was asked for; the short mode gives rough figures and proves the instrument."""


def say(name: str, samples: Sequence[float], unit: str) -> None:
    """Print minimum, median and maximum of a measurement."""
    ordered = sorted(samples)
    print(
        f"BENCHMARK {name}: min {ordered[0]:.4g} median {statistics.median(ordered):.4g} "
        f"max {ordered[-1]:.4g} {unit} over {len(ordered)} rounds"
    )
