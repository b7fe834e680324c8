"""Automatic TLS: an authority's files and a server's certificate, kept in force while the controller runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agent.protocol.clock import Clock
from controller.files import write_private
from controller.keyring import AUTHORITIES_FILE
from controller.tls import authority as authorities
from controller.tls.authority import Authority
from controller.tls.context import server_context

log = structlog.get_logger(__name__)

AUTHORITY_FILE = "tls/authority.pem"
SERVER_FILE = "tls/server.pem"
CHECK_INTERVAL_S = 60.0
"""Seconds between looks at the end of certificates and at the machine's names and addresses."""


class AuthorityDamaged(ValueError):
    """The authority's file is damaged; its message says what to do."""


class AutomaticTls:
    """Gives certificates to the controller itself, renews them in place, rotates the authority on request.

    A context that serves takes a new certificate for the connections that come; those that are open stay.
    """

    def __init__(self, data_dir: Path, hosts: Callable[[], Sequence[str]], clock: Clock) -> None:
        """`hosts` tells the present names and addresses.

        Raises:
            OSError: the files cannot be read or made.
            AuthorityDamaged: the authority's file cannot be used.
        """
        self._data_dir = data_dir
        self._hosts = hosts
        self._clock = clock
        (data_dir / AUTHORITY_FILE).parent.mkdir(mode=0o700, exist_ok=True)
        self._authority = self._load()
        self.context = server_context()
        self._server = b""
        self.refresh()

    @property
    def trusted_pem(self) -> str:
        """The certificates of the authorities that clients should trust, the present one first."""
        return self._authority.trusted_pem

    @property
    def server_ends_at(self) -> float:
        """When the certificate in use ends, in epoch seconds; it is renewed long before."""
        return authorities.ends_at(self._server)

    def refresh(self) -> None:
        """Renew what is due. Raises `OSError` when files cannot be written; what served before goes on."""
        now = self._clock.now()
        self._keep(authorities.kept_up(self._authority, now))
        hosts = self._hosts()
        server = self._server or self._read(SERVER_FILE)
        if not authorities.is_current(server, self._authority, hosts, now):
            server = authorities.issue(self._authority, hosts, now)
            write_private(self._data_dir / SERVER_FILE, server)
            log.info("tls_certificate_issued", hosts=list(hosts), ends_at=authorities.ends_at(server))
        if server != self._server:
            self.context.load_cert_chain(self._data_dir / SERVER_FILE)
            self._server = server

    def rotate(self, *, forget_former: bool = False) -> None:
        """Let a new authority follow the present one, and serve with a certificate of it from now on.

        `forget_former`: whoever knows the present one alone shall not be led to the new one by it, because
        its key may be known to others.

        Raises:
            OSError: files cannot be written.
        """
        now = self._clock.now()
        self._keep(
            authorities.new_authority(now) if forget_former else authorities.rotated(self._authority, now)
        )
        log.info("tls_authority_rotated", forget_former=forget_former)
        self.refresh()

    async def run(self) -> None:
        """Keep the certificates in force, for ever."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                self.refresh()
            except OSError as error:
                log.warning("tls_renewal_failed", error=str(error), ends_at=self.server_ends_at)

    def _load(self) -> Authority:
        data = self._read(AUTHORITY_FILE)
        if not data:
            authority = authorities.new_authority(self._clock.now())
            write_private(self._data_dir / AUTHORITY_FILE, authorities.write_authority(authority))
            log.info("tls_authority_made")
        else:
            try:
                authority = authorities.read_authority(data)
            except ValueError as error:
                raise AuthorityDamaged(
                    f"{self._data_dir / AUTHORITY_FILE} is damaged: put its backup back, or remove it and "
                    "let every agent and client trust a new authority"
                ) from error
        write_private(self._data_dir / AUTHORITIES_FILE, authority.trusted_pem.encode())
        return authority

    def _keep(self, authority: Authority) -> None:
        if authority is self._authority:
            return
        write_private(self._data_dir / AUTHORITY_FILE, authorities.write_authority(authority))
        write_private(self._data_dir / AUTHORITIES_FILE, authority.trusted_pem.encode())
        self._authority = authority

    def _read(self, name: str) -> bytes:
        try:
            return (self._data_dir / name).read_bytes()
        except FileNotFoundError:
            return b""
