"""A host of a test's own: a network namespace with an engine in it, and an agent that owns its rules.

The namespace is joined to the machine by a pair of interfaces; the machine is its way to the outside.
"""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.own_engine import OwnEngine
from tests.support.processes import AgentProcess, ControllerProcess, free_port

_numbers = itertools.count(1)
_COMMAND_S = 20.0


class OwnHost:
    """The namespace. ``gateway`` is the machine's address as the host sees it, ``address`` the host's own."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.gateway = f"198.18.{number}.1"
        self.address = f"198.18.{number}.2"
        self.interface = "uplink"
        self.outer_interface = f"{name}-o"
        self.engine: OwnEngine

    @property
    def namespace(self) -> Path:
        """The file by which the namespace is entered."""
        return Path("/var/run/netns", self.name)

    @property
    def entering(self) -> tuple[str, ...]:
        """What a command is preceded by to run in the host's network."""
        return ("nsenter", f"--net={self.namespace}", "--")

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the host's network; returns what it writes."""
        return _run(*self.entering, *command, check=check)

    @property
    def mac_address(self) -> str:
        """Of the interface that leads to the machine."""
        return str(json.loads(self.run("ip", "-j", "link", "show", self.interface))[0]["address"])

    def make(self) -> None:
        """Make the namespace and its way to the machine."""
        _run("ip", "netns", "add", self.name)
        _run(
            "ip",
            "link",
            "add",
            self.outer_interface,
            "type",
            "veth",
            "peer",
            self.interface,
            "netns",
            self.name,
        )
        _run("ip", "address", "add", f"{self.gateway}/30", "dev", self.outer_interface)
        _run("ip", "link", "set", self.outer_interface, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/30", "dev", self.interface)
        self.run("ip", "link", "set", self.interface, "up")
        self.run("ip", "route", "add", "default", "via", self.gateway)

    def remove(self) -> None:
        """Take it away; its end of the pair goes with it, and so does the other."""
        _run("ip", "netns", "delete", self.name, check=False)
        _run("ip", "link", "delete", self.outer_interface, check=False)

    def rules(self) -> list[str]:
        """Every rule and chain of ours, and whatever else concerns the tasks' address."""
        lines = self.run("iptables-save").splitlines()
        return [line.partition(" [")[0] for line in lines if "HOMEPORT" in line or "169.254" in line]

    def agent(
        self, directory: Path, controller: ControllerProcess, key: dict[str, Any], cluster: str
    ) -> "HostAgent":
        """An agent of this host; not started."""
        return HostAgent(self, directory, controller, key, cluster)


class HostEngine(OwnEngine):
    """An engine in a host's network, with its bridge and its own rules."""

    networking = ()

    def __init__(self, log: Path, entering: tuple[str, ...]) -> None:
        super().__init__(log)
        self.entering = entering


class HostAgent(AgentProcess):
    """An agent in a host's network, which keeps the tasks' address there."""

    def __init__(
        self, host: OwnHost, directory: Path, controller: ControllerProcess, key: dict[str, Any], cluster: str
    ) -> None:
        super().__init__(
            directory,
            f"http://{host.gateway}:{controller.port}",
            cluster,
            key["accessKeyId"],
            key["secretAccessKey"],
            DOCKER_HOST=host.engine.host,
            HOMEPORT_TASK_ADDRESS="install",
        )
        self._host = host
        self._command = [*host.entering, *self._command]

    @property
    def container_instance_arn(self) -> str | None:
        answer = self.get(self.introspection_port, "/v1/metadata")
        return None if answer is None else json.loads(answer).get("ContainerInstanceArn")

    def get(self, port: int, path: str) -> str | None:
        """What a local endpoint of the agent answers with; None if it does not."""
        url = f"http://127.0.0.1:{port}{path}"
        script = f"import urllib.request as r; print(r.urlopen({url!r}, timeout=5).read().decode())"
        return self._host.run("python3", "-c", script, check=False) or None


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout if done.returncode == 0 else ""


@contextmanager
def own_host(directory: Path) -> Iterator[OwnHost]:
    """A host with a running engine; nothing is left of it at the end."""
    number = (os.getpid() * 16 + next(_numbers)) % 256
    host = OwnHost(f"hp{free_port()}", number)
    try:
        host.make()
        host.engine = HostEngine(directory / "own-dockerd.log", host.entering)
        try:
            host.engine.start()
            host.engine.make_image()
            yield host
        finally:
            host.engine.remove()
    finally:
        host.remove()
