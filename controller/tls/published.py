"""What the controller publishes for clients that are to trust it."""

from __future__ import annotations

from aiohttp import hdrs, web

from agent.protocol.trust import AUTHORITIES_PATH, certificates, fingerprint
from controller.tls.opening import Tls


def present_fingerprint(tls: Tls | None) -> str:
    """The fingerprint of the authority that vouches for the controller now; empty if the system's do."""
    trusted = certificates(tls.trusted_pem) if tls else []
    return fingerprint(trusted[0]) if trusted else ""


def published_authorities(tls: Tls | None) -> list[web.RouteDef]:
    """The route at which everybody gets the certificates of the authorities to trust. They are no secret;
    whoever fetches them for the first time compares their fingerprint."""

    async def authorities(_request: web.Request) -> web.Response:
        if tls is None or not tls.trusted_pem:
            return web.Response(status=404, text="This controller has no authority of its own.\n")
        return web.Response(text=tls.trusted_pem, headers={hdrs.CONTENT_TYPE: "application/x-pem-file"})

    return [web.get(AUTHORITIES_PATH, authorities)]
