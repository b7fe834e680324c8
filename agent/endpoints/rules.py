"""The netfilter rules by which tasks reach the agent at 169.254.170.2, and nobody else does. Pure.

Connections to that address are turned to the agent's own port on the loopback interface: those of containers
as they come in, those of the host and of containers in its network as they go out. The kernel lets packets
of other interfaces pass to loopback addresses only when ``route_localnet`` is set, so that a rule drops
whatever reaches for them by itself; and what comes in by an interface that leads to the outside is not
turned at all, since neighbours on its network could send to 169.254.170.2, too.

All rules are in chains of our own, and the built-in chains hold nothing but a jump to each.
"""

from collections.abc import Iterable, Sequence

import msgspec

TASK_ADDRESS = "169.254.170.2"
"""Where AWS's SDKs and ECS's environment variables expect the agent, on port 80."""
TASK_PORT = 80

_INCOMING = "HOMEPORT-TASKS-IN"
_OUTGOING = "HOMEPORT-TASKS-OUT"
_LOOPBACK = "HOMEPORT-LOOPBACK"
LOCALNET_MARK = "HOMEPORT-LOCALNET"
"""An empty chain that says: ``route_localnet`` was off before we set it. It is gone when the setting is,
with the next boot.
"""
_CHAINS = {"nat": (_INCOMING, _OUTGOING), "filter": (_LOOPBACK, LOCALNET_MARK)}
_JUMPS = {
    _INCOMING: ("PREROUTING", f"-d {TASK_ADDRESS}/32"),
    _OUTGOING: ("OUTPUT", f"-d {TASK_ADDRESS}/32"),
    _LOOPBACK: ("INPUT", "-d 127.0.0.0/8"),
}
_TO_TASK_PORT = f"-d {TASK_ADDRESS}/32 -p tcp -m tcp --dport {TASK_PORT}"


class Saved(msgspec.Struct, frozen=True):
    """The rules in force, as ``iptables-save`` prints them, by table."""

    lines: dict[str, tuple[str, ...]]

    def chains(self, table: str) -> set[str]:
        """The names of a table's chains."""
        return {line.split()[0].removeprefix(":") for line in self.lines[table] if line.startswith(":")}

    def ours(self) -> tuple[str, ...]:
        """Our own chains, their rules and the jumps to them, in order, without counters."""
        found = []
        for table, chains in _CHAINS.items():
            for line in self.lines[table]:
                if any(chain in line.replace(":", " ").split() for chain in chains):
                    found.append(f"{table} {line.partition('[')[0].strip()}")
        return tuple(found)

    def foreign(self) -> str:
        """A rule of somebody else's for the tasks' address; empty if there is none."""
        own = {line.removeprefix("nat ") for line in self.ours()}
        for line in self.lines["nat"]:
            if TASK_ADDRESS in line and line not in own:
                return line
        return ""

    def jumps(self, table: str) -> list[str]:
        """The jumps from built-in chains to ours, without the leading ``-A``."""
        targets = tuple(f"-j {chain}" for chain in _CHAINS[table])
        return [
            line.removeprefix("-A ")
            for line in self.lines[table]
            if line.startswith("-A ") and line.endswith(targets)
        ]


def parse_saved(text: str) -> Saved:
    """Read what ``iptables-save`` prints; tables that are not in use are absent from it."""
    lines: dict[str, list[str]] = {table: [] for table in _CHAINS}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line.removeprefix("*").strip()
        elif table in lines and line.startswith((":", "-A ")):
            lines[table].append(line.strip())
    return Saved({name: tuple(found) for name, found in lines.items()})


def default_interfaces(routes: str) -> tuple[str, ...]:
    """The interfaces that lead to the outside, by the text of ``/proc/net/route``."""
    columns = [line.split() for line in routes.splitlines()[1:]]
    return tuple(sorted({c[0] for c in columns if len(c) > 7 and c[1] == "00000000" and c[7] == "00000000"}))


def installation(saved: Saved, host: str, port: int, outside: Sequence[str], *, mark_localnet: bool) -> str:
    """What to feed ``iptables-restore --noflush``, so that exactly our rules are in force, once each.

    ``host`` and ``port`` are where the agent listens, ``outside`` the interfaces that lead to the outside;
    ``mark_localnet`` leaves the mark that ``route_localnet`` was off.
    """
    incoming = [f"-A {_INCOMING} -i {interface} -j RETURN" for interface in outside]
    incoming.append(f"-A {_INCOMING} {_TO_TASK_PORT} -j DNAT --to-destination {host}:{port}")
    outgoing = [f"-A {_OUTGOING} {_TO_TASK_PORT} -j DNAT --to-destination {host}:{port}"]
    loopback = [
        # A host that lets in nothing by default must let in what was turned to the agent.
        f"-A {_LOOPBACK} -d {host}/32 -p tcp -m tcp --dport {port} -m conntrack --ctstate DNAT -j ACCEPT",
        f"-A {_LOOPBACK} ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack "
        "! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
    ]
    mark = [LOCALNET_MARK] if mark_localnet or LOCALNET_MARK in saved.chains("filter") else []
    return _script("nat", saved, (_INCOMING, _OUTGOING), (*incoming, *outgoing)) + _script(
        "filter", saved, (_LOOPBACK, *mark), loopback
    )


def removal(saved: Saved) -> str:
    """What to feed ``iptables-restore --noflush``, so that nothing of ours is left."""
    script = ""
    for table, chains in _CHAINS.items():
        there = [chain for chain in chains if chain in saved.chains(table)]
        lines = [f"-D {jump}" for jump in saved.jumps(table)]
        lines += [f"-F {chain}" for chain in there] + [f"-X {chain}" for chain in there]
        if lines:
            script += _joined(table, lines)
    return script


def _script(table: str, saved: Saved, chains: Sequence[str], rules: Iterable[str]) -> str:
    """Declaring a chain empties it, so that what is there already is replaced in the same step."""
    declared = [f":{chain} - [0:0]" for chain in chains]
    old = [f"-D {jump}" for jump in saved.jumps(table)]
    jumps = [f"-I {_JUMPS[chain][0]} 1 {_JUMPS[chain][1]} -j {chain}" for chain in chains if chain in _JUMPS]
    return _joined(table, [*declared, *rules, *old, *jumps])


def _joined(table: str, lines: Iterable[str]) -> str:
    return "\n".join((f"*{table}", *lines, "COMMIT", ""))
