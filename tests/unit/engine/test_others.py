"""What others hold of the host, on recorded files of ``/proc``."""

import os
import socket
from pathlib import Path

import pytest

from agent.engine.admission import Port
from agent.engine.others import available_memory_mib, listening_sockets, network_of_listener, processes_with

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0"


def line(address: str, state: str, inode: int) -> str:
    """A line of a table of sockets as the kernel writes it."""
    return f"   0: {address} 00000000:0000 {state} {REST} {inode} 1 0000 100 0 0 10 0\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with a web server on all addresses, a resolver on one, a connection and a process of nobody's
    business.
    """
    net = tmp_path / "net"
    net.mkdir()
    listening, connected = "0A", "01"
    (net / "tcp").write_text(
        HEADING + line("0100007F:0016", listening, 1) + line("00000000:C350", connected, 2)
    )
    (net / "tcp6").write_text(HEADING + line("0" * 32 + ":0050", listening, 3))
    (net / "udp").write_text(HEADING + line("3500007F:0035", "07", 4))
    (tmp_path / "meminfo").write_text(
        "MemTotal:       4096 kB\nMemFree:  1024 kB\nMemAvailable:   2048 kB\nSwapFree: 1024 kB\n"
    )
    for pid, inode, command in ((7, 3, "nginx"), (8, 99, "other")):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "5").symlink_to(f"socket:[{inode}]")
        (tmp_path / str(pid) / "comm").write_text(f"{command}\n")
    return tmp_path


def test_listening_tcp_sockets_and_all_udp_sockets_keep_others_from_their_port(proc: Path) -> None:
    found = {(s.port, s.everywhere, s.inode) for s in listening_sockets(proc / "net")}
    assert found == {((22, "tcp"), False, "1"), ((80, "tcp"), True, "3"), ((53, "udp"), False, "4")}


def test_a_process_is_found_by_its_socket(proc: Path) -> None:
    ports: dict[str, Port] = {"3": (80, "tcp"), "4": (53, "udp")}
    assert processes_with(ports, proc) == {(80, "tcp"): "process nginx (pid 7)"}


def test_the_network_looked_at_is_that_of_the_engine(tmp_path: Path) -> None:
    """Here this very process plays the engine."""
    where = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(where))
        listening.listen()
        assert network_of_listener(where, Path("/proc")) == Path(f"/proc/{os.getpid()}/net")
        assert network_of_listener(where, tmp_path) == tmp_path / "net", "it cannot be seen"
    assert network_of_listener(where, Path("/proc")) == Path("/proc/net"), "nobody listens"


def test_what_is_available_is_what_the_kernel_says_and_free_swap_space(proc: Path) -> None:
    assert available_memory_mib(proc) == 3

    (proc / "meminfo").write_text("MemTotal: 4096 kB\nMemFree: 1024 kB\n")
    assert available_memory_mib(proc) is None
