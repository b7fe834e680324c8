"""The program of pause containers: it sleeps for ever, and children that it is left with vanish at their end.

An executable of some hundred bytes that needs nothing of the host or of an image, written here instruction by
instruction. It does two things: it ignores SIGCHLD, so that the kernel itself reaps the orphans of a shared
PID namespace, whose first process it is; then it waits for signals, for ever.
"""

import struct
from collections.abc import Mapping

_BASE = 0x400000
_HEADERS = 64 + 56
_ALIGNMENT = 0x10000
"""The largest page of either architecture."""
_EXECUTABLE, _VERSION, _LOADED, _READ_AND_EXECUTE = 2, 1, 1, 5

_SIGCHLD = 17
_IGNORE = struct.pack("<QQQQ", 1, 0, 0, 0)
"""The kernel's `struct sigaction`: handler SIG_IGN, no flags, no restorer, no mask."""

# Numbers of system calls differ between architectures; arm64 has no `pause`, but `ppoll` on nothing is one.
_AMD64 = (
    b"\xb8\x0d\x00\x00\x00"  # mov eax, 13          rt_sigaction(
    b"\xbf\x11\x00\x00\x00"  # mov edi, 17            SIGCHLD,
    b"\x48\x8d\x35\x13\x00\x00\x00"  # lea rsi, [rip+19]      the structure behind the code,
    b"\x31\xd2"  # xor edx, edx           NULL,
    b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8            8)
    b"\x0f\x05"  # syscall
    b"\xb8\x22\x00\x00\x00"  # mov eax, 34          pause()
    b"\x0f\x05"  # syscall
    b"\xeb\xf7"  # jmp                  to `mov eax, 34`
) + _IGNORE


def _arm64() -> bytes:
    def set_register(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register  # movz

    call = 0xD4000001  # svc #0
    sleep = [
        *(set_register(register, 0) for register in range(5)),  # ppoll(NULL, 0, NULL, NULL, 0)
        set_register(8, 73),
        call,
    ]
    back = 0x14000000 | (-len(sleep) & 0x3FFFFFF)  # b to the first of `sleep`
    ignore = [set_register(0, _SIGCHLD), set_register(2, 0), set_register(3, 8), set_register(8, 134), call]
    to_structure = 4 * (1 + len(ignore) + len(sleep) + 1)
    address = 0x10000001 | (to_structure >> 2) << 5  # adr x1
    return struct.pack(f"<{to_structure // 4}I", address, *ignore, *sleep, back) + _IGNORE


_MACHINES: Mapping[str, tuple[int, bytes]] = {"x86_64": (62, _AMD64), "arm64": (183, _arm64())}
"""ELF's number of each architecture, and the code."""


def can_pause(architecture: str) -> bool:
    """Whether there is a pause program for ``architecture``, in the names of ``ecs.cpu-architecture``."""
    return architecture in _MACHINES


def pause_program(architecture: str) -> bytes:
    """The executable for ``architecture``. Raises ``KeyError`` for one that ``can_pause`` denies."""
    machine, code = _MACHINES[architecture]
    size = _HEADERS + len(code)
    identification = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bits, little endian
    header = struct.pack(
        "<HHIQQQIHHHHHH",
        *(_EXECUTABLE, machine, _VERSION, _BASE + _HEADERS),
        *(64, 0, 0),  # where the program headers are; no sections, no flags
        *(64, 56, 1),  # sizes of both headers; there is one segment
        *(0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", _LOADED, _READ_AND_EXECUTE, 0, _BASE, _BASE, size, size, _ALIGNMENT)
    return identification + header + segment + code
