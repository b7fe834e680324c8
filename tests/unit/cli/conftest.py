"""A stand-in for the controller's HTTP side, so that the commands' own side can be tested by itself."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.clock import SystemClock
from agent.protocol.signing import SignatureClaim, parse_authorization, verify
from agent.protocol.trust import AUTHORITIES_PATH
from controller.keyring import ClientProfile, Keyring, write_client_profile
from controller.tls.automatic import AutomaticTls

SECRET = "a secret/with+odd characters"

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class StandInController:
    """Answers what the test tells it to, and verifies the signature of every call."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        """By `X-Amz-Target`. The functions may raise `Refusal`."""
        self.authorities = ""
        """What it presents to those who ask whom to trust."""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.claims: list[SignatureClaim] = []
        self.server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def serve_tls(self, data_dir: Path) -> str:
        """From now on over HTTPS, with an authority of its own, which is returned."""
        tls = AutomaticTls(data_dir, lambda: ["127.0.0.1"], SystemClock())
        self.server.socket = tls.context.wrap_socket(self.server.socket, server_side=True)
        self.endpoint = self.endpoint.replace("http:", "https:")
        write_profile(data_dir, self.endpoint)
        self.authorities = tls.trusted_pem
        return tls.trusted_pem

    def inputs(self, target: str) -> list[dict[str, Any]]:
        return [members for called, members in self.calls if called == target]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = stand_in.authorities.encode() if self.path == AUTHORITIES_PATH else b""
                self.send_response(200 if content else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = stand_in.answer(dict(self.headers.items()), body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
                pass

        return Handler

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        claim = parse_authorization(headers)
        verify(
            claim,
            method="POST",
            path="/",
            query="",
            headers=headers,
            body=body,
            secret_access_key=SECRET,
            now=SystemClock().now(),
        )
        target, members = headers["X-Amz-Target"], json.loads(body)
        self.claims.append(claim)
        self.calls.append((target, members))
        try:
            return 200, self.answers[target](members)
        except Refusal as refusal:
            return 400, {"__type": refusal.code, "message": str(refusal)}


class Refusal(Exception):
    """An error in ECS's form."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ecs(operation: str) -> str:
    """The `X-Amz-Target` of an operation of ECS."""
    return f"AmazonEC2ContainerServiceV20141113.{operation}"


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandInController]:
    """A running stand-in whose client profile lies in `tmp_path`."""
    controller = StandInController()
    thread = threading.Thread(target=controller.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    write_profile(tmp_path, controller.endpoint)
    yield controller
    controller.server.shutdown()
    controller.server.server_close()
    thread.join()


def write_profile(data_dir: Path, endpoint: str) -> None:
    """What a controller leaves in its data directory for local commands."""
    keyring = Keyring.open(data_dir, create=True)
    profile = ClientProfile(endpoint, "eu-test-1", "000000000000", "AKIDTEST", SECRET)
    write_client_profile(data_dir, keyring, profile)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LISTEN", "DATABASE_URL", "ACCOUNT_ID", "REGION", "TLS", "PROFILE"):
        monkeypatch.delenv(f"HOMEPORT_{name}", raising=False)
    for name in ("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOMEPORT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
