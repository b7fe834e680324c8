"""The GPUs of this machine, as their driver lists them."""

from pathlib import Path

_NVIDIA = "driver/nvidia/gpus"
_UUID = "GPU UUID"


def nvidia_gpus(proc: Path = Path("/proc")) -> tuple[str, ...]:
    """The UUIDs by which NVIDIA's runtime knows the GPUs; none where its driver is not loaded."""
    found = []
    for information in (proc / _NVIDIA).glob("*/information"):
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == _UUID:
                found.append(value.strip())
    return tuple(sorted(found))
