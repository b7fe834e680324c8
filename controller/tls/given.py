"""A certificate and key that the operator gave, read again when their files change."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import structlog

from controller.files import write_private
from controller.keyring import AUTHORITIES_FILE
from controller.tls.context import server_context

log = structlog.get_logger(__name__)

CHECK_INTERVAL_S = 60.0
"""Seconds between looks at the files: whoever renews them need tell nobody."""


class GivenTls:
    """Serves with the files' certificate."""

    def __init__(self, certificate: Path, key: Path, authority: Path | None, data_dir: Path) -> None:
        """`certificate` holds the server's and those of intermediate authorities; `authority` the
        certificates that clients should trust, where their system does not already. Local clients find a
        copy in `data_dir`.

        Raises:
            OSError, ssl.SSLError: the files cannot be read, or do not belong together.
        """
        self._certificate = certificate
        self._key = key
        self._authority = authority
        self.context = server_context()
        self._copy = data_dir / AUTHORITIES_FILE
        self._seen = self._state()
        self._load(self.context)
        self.trusted_pem = ""
        """The certificates of the authorities that clients should trust; empty: the system's."""
        self._load_authority()

    def refresh(self) -> None:
        """Take the files' certificate if they have changed.

        Raises:
            OSError, ssl.SSLError: they cannot be used as they are; what served before goes on.
        """
        seen = self._state()
        if seen == self._seen:
            return
        self._load(server_context())  # a file that is half renewed must not reach the context that serves
        self._load(self.context)
        self._load_authority()
        self._seen = seen
        log.info("tls_certificate_loaded", file=str(self._certificate))

    async def run(self) -> None:
        """Follow the files, for ever."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                self.refresh()
            except OSError as error:  # those of ssl are among them
                log.warning("tls_certificate_unusable", file=str(self._certificate), error=str(error))

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self._certificate, self._key)

    def _load_authority(self) -> None:
        if self._authority is None:
            self._copy.unlink(missing_ok=True)
            return
        self.trusted_pem = self._authority.read_text()
        self._copy.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(self._copy, self.trusted_pem.encode())

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        files = (self._certificate, self._key, *([self._authority] if self._authority else []))
        return tuple((s.st_ino, s.st_size, s.st_mtime_ns) for s in (file.stat() for file in files))
