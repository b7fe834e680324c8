"""TLS of this controller, for our own command: service `homeport`, administrators only."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.protocol.trust import certificates, fingerprint
from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ServerException
from controller.state.entities import Document
from controller.tls.automatic import AutomaticTls
from controller.tls.opening import Tls


class DescribeTls(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class RotateTlsAuthority(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    forget_former: bool = False


class TlsOperations:
    """The operations, with the TLS that they work on."""

    def __init__(self, tls: Tls | None) -> None:
        self._tls = tls

    def describe_tls(self, _context: RequestContext, _request: DescribeTls) -> Document:
        """How connections are protected, and whom clients should trust, the present authority first."""
        if self._tls is None:
            return {"mode": "off", "authorities": []}
        authorities = [
            {"fingerprint": fingerprint(certificate), "certificate": certificate}
            for certificate in certificates(self._tls.trusted_pem)
        ]
        if not isinstance(self._tls, AutomaticTls):
            return {"mode": "given", "authorities": authorities}
        return {"mode": "auto", "authorities": authorities, "certificateEndsAt": self._tls.server_ends_at}

    def rotate_tls_authority(self, context: RequestContext, request: RotateTlsAuthority) -> Document:
        """Let a new authority follow the present one, which stays good for those that know it alone unless it
        is to be forgotten."""
        if not isinstance(self._tls, AutomaticTls):
            raise InvalidParameterException(
                "This controller has no authority of its own: only one that runs with --tls auto has."
            )
        try:
            self._tls.rotate(forget_former=request.forget_former)
        except OSError as error:
            raise ServerException(f"The new authority cannot be written: {error.strerror}.") from error
        return self.describe_tls(context, DescribeTls())

    def typed(self) -> dict[str, tuple[type[msgspec.Struct], Any]]:
        """Every operation with the record that its input is decoded into."""
        return {
            "DescribeTls": (DescribeTls, self.describe_tls),
            "RotateTlsAuthority": (RotateTlsAuthority, self.rotate_tls_authority),
        }
