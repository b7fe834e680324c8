"""A Docker Engine of a test's own, to be stopped, killed and frozen: the shared one is left alone."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import psutil

from tests.support.engine import make_busybox_image
from tests.support.processes import wait_until

_START_S = 60.0
_STOP_S = 30.0


class OwnEngine:
    """A ``dockerd`` with containerd, data and socket of its own.

    It lives in a network namespace of its own, too: an engine takes the interface ``docker0`` for its own,
    and would take it away from the shared one. Containers have no network.
    """

    entering: tuple[str, ...] = ("unshare", "--net", "--")
    networking: tuple[str, ...] = ("--bridge", "none", "--iptables=false")

    def __init__(self, log: Path, *, live_restore: bool = False, disk: str = "") -> None:
        """``disk`` gives it a file system of its own of that size, in mount's words."""
        # Sockets have short paths, and the engine puts its own below this one.
        self._directory = Path(tempfile.mkdtemp(prefix="hp-engine-"))
        self._log = log
        self._live_restore = live_restore
        self._disk = disk
        self._process: subprocess.Popen[bytes] | None = None
        self.image = ""
        self.data_root = self._directory / "data"
        self.data_root.mkdir()
        if disk:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(self.data_root)]
            subprocess.run(mount, check=True, timeout=10)

    @property
    def host(self) -> str:
        """What ``DOCKER_HOST`` is to be."""
        return f"unix://{self._directory / 'docker.sock'}"

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        dockerd = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        assert dockerd is not None, "there is no dockerd here; ./tests/run.sh installs one"
        settings = self._directory / "daemon.json"
        settings.write_text("{}")
        command = [
            *(*self.entering, dockerd, "--config-file", settings),
            *("--host", self.host),
            *("--data-root", self.data_root, "--exec-root", self._exec_root),
            *("--pidfile", self._directory / "pid", *self.networking),
            *(["--live-restore"] if self._live_restore else []),
            # The storage driver of the machine's own engine does not work on every file system.
            *(["--storage-driver", "vfs"] if self._disk else []),
        ]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(self._answers_or_ended, "an engine of the test's own answers", _START_S)
        assert self._daemon.poll() is None, self._log.read_text(errors="replace")[-3000:]

    def make_image(self) -> str:
        """Import the busybox image; returns its reference."""
        with self.client() as client:
            self.image = make_busybox_image(client)
        return self.image

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """A connection for the test itself."""
        client = docker.DockerClient(base_url=self.host, timeout=20)
        try:
            yield client
        finally:
            client.close()

    def stop(self) -> None:
        """End the engine in order, as a package upgrade does."""
        self._daemon.terminate()
        self._daemon.wait(_STOP_S)

    def crash(self) -> None:
        """End the engine, its containers and all that keeps them, as a loss of power does."""
        self._daemon.kill()
        self._daemon.wait(_STOP_S)
        _kill(_processes_of(self._exec_root))
        _unmount(self.data_root, self._exec_root)
        shutil.rmtree(self._exec_root, ignore_errors=True)
        (self._directory / "pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let the engine hang: it takes connections, and answers nothing."""
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End ``freeze``."""
        self._daemon.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Leave nothing: no container, no process, no file."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            with suppress(docker.errors.DockerException), self.client() as client:
                for container in client.api.containers(all=True):
                    client.api.remove_container(container["Id"], force=True)
            self.stop()
        _kill(_processes_of(self._exec_root))
        _unmount(self._directory)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _daemon(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the engine was never started"
        return self._process

    @property
    def _exec_root(self) -> Path:
        return self._directory / "exec"

    def _answers_or_ended(self) -> bool:
        if self._daemon.poll() is not None:
            return True
        # By hand: the SDK leaves a socket open behind it when nobody answers.
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.settimeout(1.0)
            probe.connect(self.host.removeprefix("unix://"))
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in probe.recv(64)
        return False


def _processes_of(exec_root: Path) -> list[psutil.Process]:
    """What an engine leaves behind when it is killed: shims that name its directory, and their children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(exec_root) in argument for argument in process.cmdline()):
                found += [*process.children(recursive=True), process]
    return found


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_STOP_S)


def _unmount(*directories: Path) -> None:
    """Detach whatever is mounted below these directories."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    for mount in reversed([line.split()[1] for line in mounts]):
        if any(mount.startswith(f"{directory}/") for directory in directories):
            subprocess.run(["umount", "--lazy", mount], check=False, timeout=10)


@contextmanager
def own_engine(log: Path, *, live_restore: bool = False, disk: str = "") -> Iterator[OwnEngine]:
    """An engine that runs and has the busybox image; nothing is left of it at the end."""
    engine = OwnEngine(log, live_restore=live_restore, disk=disk)
    try:
        engine.start()
        engine.make_image()
        yield engine
    finally:
        engine.remove()
