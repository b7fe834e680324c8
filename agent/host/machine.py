"""Facts about the machine that do not change while it is up."""

import asyncio
import platform
from pathlib import Path

import msgspec
import psutil

from agent.host.gpus import nvidia_gpus

MIB = 1024 * 1024
_SYSTEMD_RUNTIME = Path("/run/systemd/system")
_SYSTEMD_ANSWER_S = 1.0
# Go's names for architectures, as amazon-ecs-agent registers them.
_ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64", "i686": "i386", "i586": "i386"}


class Machine(msgspec.Struct, frozen=True, gc=False):
    """The machine and the boot that this agent runs in."""

    machine_id: str
    """The operating system's id of this installation; empty if it has none. A cloned disk carries it
    along.
    """
    boot_id: str
    """The kernel's id of this boot; empty if it has none. Two machines never share one, cloned or not."""
    cpus: int
    """Logical CPUs."""
    memory_mib: int
    architecture: str
    """``x86_64``, ``arm64`` …: the value of ``ecs.cpu-architecture``."""
    gpu_ids: tuple[str, ...] = ()


class Ec2Instance(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an EC2 instance knows of itself. It stays the same for as long as the instance runs."""

    instance_id: str
    instance_type: str
    availability_zone: str
    image_id: str
    document: str
    """The identity document as it came: its signature holds for these very bytes."""
    signature: str
    spot: bool
    """It may be interrupted."""
    tags: tuple[tuple[str, str], ...] = ()


def read_machine() -> Machine:
    """Look at the machine. Reads a few small files."""
    architecture = platform.machine()
    return Machine(
        machine_id=_read_id(Path("/etc/machine-id")),
        boot_id=_read_id(Path("/proc/sys/kernel/random/boot_id")),
        cpus=psutil.cpu_count(logical=True) or 1,
        memory_mib=psutil.virtual_memory().total // MIB,
        architecture=_ARCHITECTURES.get(architecture, architecture),
        gpu_ids=nvidia_gpus(),
    )


def _read_id(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""


async def going_down() -> bool:
    """Whether the whole machine is shutting down, as far as its init system can tell."""
    if not _SYSTEMD_RUNTIME.exists():
        return False
    try:
        process = await asyncio.create_subprocess_exec(
            "systemctl",
            "is-system-running",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return False
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _SYSTEMD_ANSWER_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return output.strip() == b"stopping"
