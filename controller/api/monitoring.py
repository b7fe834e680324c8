"""`GET /healthz` and `GET /metrics`."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from pathlib import Path

from aiohttp import hdrs, web

from controller.files import write_private
from controller.state.kernel import State
from controller.telemetry.metrics import CONTENT_TYPE, ControllerMetrics

TOKEN_FILE = "metrics.token"
TOKEN_BYTES = 32

FORWARDING_HEADERS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Via",
)
"""A request with one of these came through a proxy on this machine, from who knows where."""


class Monitoring:
    """What monitoring systems ask."""

    def __init__(self, state: State, metrics: ControllerMetrics, token: str) -> None:
        self._state = state
        self._metrics = metrics
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        """The paths and their handlers."""
        return [web.get("/healthz", self.health), web.get("/metrics", self.exposition)]

    async def health(self, _request: web.Request) -> web.Response:
        """200 while this controller serves; the body tells whether it leads and how its store does."""
        failing_for_s = self._state.flusher.failing_for_s
        return web.json_response(
            {
                "status": "degraded" if failing_for_s else "ok",
                "role": "leader",
                "epoch": self._state.meta.epoch,
                "storeFailingSeconds": round(failing_for_s, 3),
            }
        )

    async def exposition(self, request: web.Request) -> web.Response:
        """Metrics, for callers on this machine and for those that hold the token."""
        if not is_local(request) and not self._has_token(request):
            return web.Response(
                status=401,
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
                text=f"From other machines this takes the bearer token in {TOKEN_FILE}.\n",
            )
        return web.Response(body=self._metrics.exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    def _has_token(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        # Compared as bytes: a header may hold what is not ASCII.
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode("utf-8", "surrogateescape"), self._token.encode()
        )


def is_local(request: web.Request) -> bool:
    """Whether a request comes from this machine, and through no proxy."""
    if request.remote is None or any(header in request.headers for header in FORWARDING_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.remote.partition("%")[0]).is_loopback
    except ValueError:
        return False


def ensure_metrics_token(data_dir: Path) -> str:
    """The token of a data directory, made at the first start.

    Raises:
        OSError: it cannot be read or made.
    """
    path = data_dir / TOKEN_FILE
    if not path.exists():
        write_private(path, secrets.token_urlsafe(TOKEN_BYTES).encode() + b"\n")
    return path.read_text().strip()
