"""How the controller's port does TLS."""

from __future__ import annotations

import ssl


def server_context() -> ssl.SSLContext:
    """A context for serving, TLS 1.2 and later, that has no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
