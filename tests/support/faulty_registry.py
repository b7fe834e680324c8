"""A registry behind a proxy that fails as real ones do: errors, slowness, silence, layers cut off."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

_PIECE = 16 * 1024
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class FaultyRegistry:
    """Passes everything on to a registry, but for the faults that a test sets."""

    def __init__(self, backend: str) -> None:
        """``backend`` is the registry's ``HOST:PORT``."""
        self.backend = backend
        self.errors: list[int] = []
        """Status codes for the next requests of manifests."""
        self.flow = Event()
        """Layers come while it is set; a cleared one lets them stall after their first piece."""
        self.flow.set()
        self.pause_s = 0.0
        """How long each piece of a layer takes."""
        self.cut_layers = 0
        """How many layers to cut off after their first piece."""
        self.requests: Counter[str] = Counter()
        """Requests by kind: ``manifests`` and ``blobs``."""
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False

    @property
    def address(self) -> str:
        """What image references of this registry begin with."""
        return f"127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[FaultyRegistry]:
        """Serve until the end of the block."""
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.flow.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def next_error(self, kind: str) -> int | None:
        """Count a request; the error to answer it with, if any."""
        with self._lock:
            self.requests[kind] += 1
            return self.errors.pop(0) if kind == "manifests" and self.errors else None

    def cuts_now(self) -> bool:
        """Whether the layer under way is to be cut off."""
        with self._lock:
            cut = self.cut_layers > 0
            self.cut_layers -= cut
            return cut

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        faults = self

        class Handler(BaseHTTPRequestHandler):
            """One request, passed on."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                kind = "blobs" if "/blobs/" in self.path else "manifests"
                status = faults.next_error(kind) if self.path != "/v2/" else None
                if status is not None:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self._pass_on(is_layer=kind == "blobs" and self.command == "GET")

            do_HEAD = do_GET

            def _pass_on(self, *, is_layer: bool) -> None:
                connection = http.client.HTTPConnection(faults.backend, timeout=10)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
                try:
                    connection.request(self.command, self.path, headers=headers)
                    answer = connection.getresponse()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in _HOP_BY_HOP:
                            self.send_header(name, value)
                    self.end_headers()
                    self._copy(answer, is_layer=is_layer)
                except OSError:
                    self.close_connection = True
                finally:
                    connection.close()

            def _copy(self, answer: http.client.HTTPResponse, *, is_layer: bool) -> None:
                while piece := answer.read(_PIECE):
                    self.wfile.write(piece)
                    if is_layer and faults.cuts_now():
                        raise ConnectionAbortedError("cut by the test")
                    if is_layer:
                        faults.flow.wait()
                        time.sleep(faults.pause_s)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
