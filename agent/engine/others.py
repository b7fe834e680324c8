"""What others than this agent's tasks hold of the host: read from the kernel, and put into words.

A look reads a few small files. Finding out who has a port may walk through every process of the machine; it
is done only for a port that a task waits for.
"""

import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from agent.engine.admission import NOBODY_ELSE, Occupant, Others, Port
from agent.engine.docker import Docker
from agent.engine.errors import EngineError
from agent.engine.lanes import Lane

log = structlog.get_logger(__name__)

_TABLES = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
_LISTENING = "0A"
_KIB_IN_MIB = 1024
_CONNECT_S = 1.0
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of a socket's other end."""


class ListeningSocket(msgspec.Struct, frozen=True, gc=False):
    """A socket that keeps others from its port."""

    port: Port
    everywhere: bool
    """It is bound to all addresses."""
    inode: str
    """The kernel's number of the socket, by which its process is found."""


class HostWatch:
    """Looks at the host that the Docker engine and this agent are on."""

    def __init__(
        self, docker: Docker, engine_socket: Path | None, *, count_memory: bool, proc: Path = Path("/proc")
    ) -> None:
        """``engine_socket`` is None where the engine is on another machine, of which nothing is known.
        ``count_memory`` says whether memory in use counts as taken.
        """
        self._docker = docker
        self._engine_socket = engine_socket
        self._count_memory = count_memory
        self._proc = proc
        self._network: Path | None = None
        self._names: dict[Port, tuple[frozenset[str], str]] = {}
        """Who has a port, and the sockets by which that was found out: other ones may be somebody else's."""
        self._lane = Lane("host-watch", 1)

    def look(self, *, at_ports: bool) -> Others:
        """What others hold now, of ports only if ``at_ports``; the names of those who have them are as
        ``find_names`` found them last.
        """
        if self._engine_socket is None:
            return NOBODY_ELSE
        sockets = self._sockets() if at_ports else {}
        ports = {port: self._occupant(port, there) for port, there in sockets.items()}
        return Others(ports, available_memory_mib(self._proc) if self._count_memory else None)

    async def find_names(self, ports: Collection[Port]) -> None:
        """Find out who has each of the ``ports``, unless that is known: a container that publishes it, or
        else a process.
        """
        there = {port: _inodes(sockets) for port, sockets in self._sockets().items() if port in ports}
        self._names = {port: known for port, known in self._names.items() if known[0] == there.get(port)}
        wanted = there.keys() - self._names.keys()
        if wanted:
            inodes = {inode: port for port in wanted for inode in there[port]}
            names = await self._lane.call(lambda: processes_with(inodes, self._proc))
            names |= await self._containers_with(wanted)
            self._names |= {port: (there[port], names.get(port, "")) for port in wanted}

    def _sockets(self) -> dict[Port, list[ListeningSocket]]:
        found: dict[Port, list[ListeningSocket]] = {}
        for listening in listening_sockets(self._engines_network()):
            found.setdefault(listening.port, []).append(listening)
        return found

    def _engines_network(self) -> Path:
        """The tables of the network that the engine is in, which need not be the agent's own."""
        if self._network is None or not _is_readable(self._network):  # the engine was started anew
            self._network = network_of_listener(self._engine_socket, self._proc)
        return self._network

    def _occupant(self, port: Port, sockets: list[ListeningSocket]) -> Occupant:
        found_by, name = self._names.get(port, (frozenset(), ""))
        everywhere = any(each.everywhere for each in sockets)
        return Occupant(everywhere, name if found_by == _inodes(sockets) else "")

    async def close(self) -> None:
        """End the thread."""
        await self._lane.close()

    async def _containers_with(self, ports: Set[Port]) -> dict[Port, str]:
        try:
            listed = await self._docker.list_containers()
        except EngineError as error:
            log.debug("port_holders_unknown", reason=error.reason)
            return {}
        return {
            port: f"container {each.name}" for each in listed for port in each.host_ports if port in ports
        }


def _inodes(sockets: Iterable[ListeningSocket]) -> frozenset[str]:
    return frozenset(each.inode for each in sockets)


def network_of_listener(unix_socket: Path | None, proc: Path) -> Path:
    """The directory of network tables of the process that listens at ``unix_socket``; one's own if that
    process cannot be seen.
    """
    own = proc / "net"
    if unix_socket is None:
        return own
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(str(unix_socket))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return own
    pid = _CREDENTIALS.unpack(credentials)[0]
    its = proc / str(pid) / "net"
    return its if _is_readable(its) else own


def _is_readable(network: Path) -> bool:
    return os.access(network / "tcp", os.R_OK)


def listening_sockets(network: Path) -> Iterator[ListeningSocket]:
    """Every TCP socket that listens and every UDP socket with a port, IPv4 and IPv6, of the tables in the
    directory ``network``.
    """
    for table, protocol in _TABLES:
        try:
            lines = (network / table).read_text().splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6, or tables that are not ours to see
        for line in lines:
            columns = line.split()
            if protocol == "udp" or columns[3] == _LISTENING:
                address, _, number = columns[1].partition(":")
                everywhere = not address.strip("0")
                yield ListeningSocket((int(number, 16), protocol), everywhere, columns[9])


def available_memory_mib(proc: Path) -> int | None:
    """What the kernel reckons that new programs could use, free swap space included; None if it does not
    tell.
    """
    fields = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.split()[0]
    if "MemAvailable" not in fields:
        return None
    return (int(fields["MemAvailable"]) + int(fields.get("SwapFree", 0))) // _KIB_IN_MIB


def processes_with(ports_by_inode: Mapping[str, Port], proc: Path) -> dict[Port, str]:
    """The process that has each of the ports, found by the kernel's number of its socket, in words. Blocks;
    sees other users' processes as root only.
    """
    wanted = {f"socket:[{inode}]": port for inode, port in ports_by_inode.items()}
    found: dict[Port, str] = {}
    for process in proc.iterdir():
        if process.name.isdecimal() and (links := _open_sockets(process) & wanted.keys()):
            name = f"process {_command(process)} (pid {process.name})"
            found |= {wanted[link]: name for link in links}
    return found


def _open_sockets(process: Path) -> set[str]:
    links = set()
    # Many files: making a path object of each would cost more than the look itself.
    with suppress(OSError), os.scandir(process / "fd") as descriptors:  # ended meanwhile, or not ours to see
        for descriptor in descriptors:
            links.add(os.readlink(descriptor.path))  # noqa: PTH115
    return links


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"
