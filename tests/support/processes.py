"""Real `homeport` processes under test: started, stopped, killed, and their logs at hand.

Each class knows how to start one kind of process and how to tell that it is ready. Tests get them from the
fixture `processes`, which ends whatever is left and shows the logs of a test that failed.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[2]
HOMEPORT = Path(sys.executable).with_name("homeport")
_READY_S = 30.0
_STOP_S = 30.0
_LOG_TAIL = 20_000


class DidNotHappen(AssertionError):
    """Something that a test waited for did not come about in time."""


def wait_until(
    condition: Callable[[], Any], what: str, timeout_s: float = _READY_S, interval_s: float = 0.05
) -> Any:
    """Wait in real time until `condition()` is true and return its value; raises `DidNotHappen`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DidNotHappen(f"{what}: not within {timeout_s:g} s")
        time.sleep(interval_s)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def http_get(url: str, timeout_s: float = 5.0, ca_file: Path | None = None) -> tuple[int, str] | None:
    """Status and body of a GET, or None if nobody answers. `ca_file`: who vouches for an HTTPS server."""
    try:
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
        with urllib.request.urlopen(url, timeout=timeout_s, context=trust) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode(errors="replace")
    except OSError:
        return None


def clean_environment(**additions: str) -> dict[str, str]:
    """This process's environment without anything that would steer AWS clients, agents or Homeport itself."""
    steering = ("AWS_", "ECS_", "HOMEPORT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        kept.pop(name, None)
    # Wherever the tests run, agents are no EC2 instances and have room on their disks unless a test says so,
    # and leave the machine's netfilter rules alone unless a test gives them a network of their own.
    anywhere = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOMEPORT_DISK_FULL_PERCENT": "100",
        "HOMEPORT_DISK_WARNING_PERCENT": "100",
        "HOMEPORT_TASK_ADDRESS": "off",
    }
    return kept | anywhere | additions


class ProcessController:
    """One process under test. Its output goes to `log_path`, appended over restarts."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log_path: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.environment = dict(environment)
        self._command = [str(part) for part in command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; the process must have been started."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.poll()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Start it, and wait until it is ready unless told otherwise."""
        assert not self.is_running, f"{self.name} runs already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=REPOSITORY,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout_s: float = _READY_S) -> None:
        """Wait until `ready()`; raises `DidNotHappen`, with the log's end, if the process ends before."""

        def ready_or_ended() -> bool:
            return self.exit_code is not None or self.ready()

        wait_until(ready_or_ended, f"{self.name} becomes ready", timeout_s)
        if self.exit_code is not None:
            raise DidNotHappen(f"{self.name} ended with {self.exit_code} at its start:\n{self.log()}")

    def ready(self) -> bool:
        """Whether it does its work; a plain process is ready once it runs."""
        return self.is_running

    def stop(self, timeout_s: float = _STOP_S) -> int:
        """SIGTERM; returns the exit code, or raises `DidNotHappen` if it has to be killed."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=10)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float = _STOP_S) -> int:
        """Wait until it ends by itself; kills it and raises `DidNotHappen` after `timeout_s`."""
        assert self._process is not None
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DidNotHappen(f"{self.name} still ran after {timeout_s:g} s:\n{self.log()}") from None

    def end(self) -> None:
        """Whatever its state, make sure that neither it nor a child in its session is left."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it and all its children have ended
        finally:
            self._process.wait(timeout=10)

    def log(self, limit: int = _LOG_TAIL) -> str:
        """The end of what it wrote."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")[-limit:]


class ControllerProcess(ProcessController):
    """`homeport controller` on a port and data directory of its own; with `--tls auto` over HTTPS."""

    def __init__(self, directory: Path, *options: str, port: int | None = None, **environment: str) -> None:
        self.data_dir = directory
        self.port = port or free_port()
        self.ca_file = directory / "tls" / "ca.pem" if "--tls" in options else None
        command = (HOMEPORT, "controller", "--data-dir", directory, "--listen", f"127.0.0.1:{self.port}")
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(
            "controller",
            (*command, *options),
            directory.with_name(directory.name + "-controller.log"),
            clean_environment(**environment),
        )

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        answer = http_get(f"{self.endpoint}/healthz", ca_file=self.ca_file)
        return answer is not None and answer[0] == 200


class AgentProcess(ProcessController):
    """`homeport agent` with a data directory and local ports of its own, so that several share a machine."""

    def __init__(
        self,
        directory: Path,
        controller: str,
        cluster: str,
        access_key_id: str,
        secret_access_key: str,
        region: str = "us-east-1",
        **environment: str,
    ) -> None:
        self.data_dir = directory
        self.introspection_port = free_port()
        self.credentials_port = free_port()
        self.metrics_port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        command = (
            *(HOMEPORT, "agent", "--controller", controller, "--cluster", cluster, "--data-dir", directory),
            *("--introspection", f"127.0.0.1:{self.introspection_port}"),
            *("--credentials", f"127.0.0.1:{self.credentials_port}"),
            *("--metrics", f"127.0.0.1:{self.metrics_port}"),
        )
        super().__init__(
            "agent",
            command,
            directory.with_name(directory.name + "-agent.log"),
            clean_environment(
                AWS_ACCESS_KEY_ID=access_key_id,
                AWS_SECRET_ACCESS_KEY=secret_access_key,
                AWS_DEFAULT_REGION=region,
                **environment,
            ),
        )

    def ready(self) -> bool:
        return self.container_instance_arn is not None

    @property
    def container_instance_arn(self) -> str | None:
        """The ARN it registered under, as its introspection endpoint tells; None before it has."""
        answer = http_get(f"http://127.0.0.1:{self.introspection_port}/v1/metadata")
        if answer is None or answer[0] != 200:
            return None
        arn = json.loads(answer[1]).get("ContainerInstanceArn")
        return str(arn) if arn else None


class UpProcess(ProcessController):
    """`homeport up` on a port and data directory of its own; its agent's local ports are free ones too."""

    def __init__(self, directory: Path, *options: str, port: int | None = None, **environment: str) -> None:
        self.data_dir = directory
        self.port = port or free_port()
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(
            "up",
            (HOMEPORT, "up", "--data-dir", directory, "--listen", f"127.0.0.1:{self.port}", *options),
            directory.with_name(directory.name + "-up.log"),
            clean_environment(**agent_ports(), **environment),
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        answer = http_get(f"{self.endpoint}/healthz")
        return answer is not None and answer[0] == 200


def agent_ports() -> dict[str, str]:
    """Settings by which an agent takes free local ports, so that several share a machine."""
    return {
        f"HOMEPORT_{name}_LISTEN": f"127.0.0.1:{free_port()}"
        for name in ("INTROSPECTION", "CREDENTIALS", "METRICS")
    }
