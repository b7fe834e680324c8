"""Task-level CPU and memory, which users write in several forms and ECS keeps as whole numbers in strings."""

from __future__ import annotations

import re
from fractions import Fraction

from controller.api.errors import ClientException

CPU_UNITS_PER_VCPU = 1024
MIB_PER_GIB = 1024

_CPU = re.compile(r"(?P<units>[0-9]{1,9})|(?P<vcpu>[0-9]{0,9}\.?[0-9]{1,9})\s*vcpu", re.IGNORECASE)
_MEMORY = re.compile(r"(?P<mib>[0-9]{1,9})|(?P<gib>[0-9]{0,9}\.?[0-9]{1,9})\s*gb", re.IGNORECASE)


def cpu_units(text: str) -> int:
    """CPU units of `1024`, `1 vCPU` or `.25 vcpu`.

    Raises:
        ClientException: the text is none of these forms, or no whole number of units.
    """
    match = _CPU.fullmatch(text.strip())
    if match is None:
        raise ClientException(
            "Invalid 'cpu' setting for task. Use CPU units, such as 1024, or vCPUs, such as 1 vCPU."
        )
    return _whole(match["units"], match["vcpu"], CPU_UNITS_PER_VCPU, "cpu")


def memory_mib(text: str) -> int:
    """MiB of `512`, `0.5GB` or `1 GB`.

    Raises:
        ClientException: the text is none of these forms, or no whole number of MiB.
    """
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise ClientException(
            "Invalid 'memory' setting for task. Use MiB, such as 512, or GB, such as 0.5 GB."
        )
    return _whole(match["mib"], match["gib"], MIB_PER_GIB, "memory")


def _whole(plain: str | None, scaled: str | None, unit: int, name: str) -> int:
    size = Fraction(plain) if plain is not None else Fraction(scaled or "0") * unit
    if size.denominator != 1 or size < 1:
        raise ClientException(f"Invalid '{name}' setting for task. It is not a whole number above 0.")
    return int(size)
