"""Whom the agent believes that it talks to its controller: the authorities that vouch for it."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import structlog

from agent.protocol.trust import AUTHORITIES_PATH, UntrustedAuthority, authority_with, certificates

log = structlog.get_logger(__name__)

LEARNT_NAME = "authorities.pem"
REFRESH_INTERVAL_S = 3600.0
"""Time between two looks whether the controller's authority has a successor."""

_RETRY_S = 5.0
_TIMEOUT = aiohttp.ClientTimeout(total=15.0)
_LARGEST_BUNDLE = 256 * 1024
_LEARNT_FROM = "Learnt from "


class ControllerNotTrusted(Exception):
    """Whoever answers is not the controller that was expected, or its authorities cannot be read. The message
    says what to do.
    """


class Trust:
    """The authorities of a file, of a fingerprint, or else the system's; and those that followed them.

    With a file or a fingerprint the agent asks its controller for its authorities and keeps them, so that it
    knows a new one long before the former ends.
    """

    def __init__(self, url: str, ca_file: Path | None, fingerprint: str, data_dir: Path) -> None:
        """``url`` is the controller's, ``fingerprint`` that of one of its authorities, or empty."""
        self._url = url.rstrip("/")
        self._ca_file = ca_file
        self._fingerprint = fingerprint
        self._learnt_path = data_dir / LEARNT_NAME
        self._learnt = ""
        self.context: ssl.SSLContext | None = None
        """What verifies the controller's certificate; None: whatever the system trusts, or plain HTTP."""

    async def establish(self) -> None:
        """Know whom to trust, for as long as that takes. Only the first contact by a fingerprint takes a
        controller that answers.

        Raises ``ControllerNotTrusted``, and ``OSError`` if what was learnt cannot be kept.
        """
        if not self._url.startswith("https:") or not (self._ca_file or self._fingerprint):
            return
        self._learnt = self._read_learnt()
        if not self._ca_file and not self._learnt:
            await self._meet()
        self.context = self._new_context()

    async def run(self) -> None:
        """Learn of new authorities, for ever."""
        while True:
            await self.learn()
            await asyncio.sleep(REFRESH_INTERVAL_S)

    async def learn(self) -> None:
        """Ask the controller once for its authorities. What fails is tried again with the next."""
        if self.context is None:
            return
        try:
            presented = await self._fetch(self.context)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("authorities_not_fetched", reason=str(error))
            return
        if presented == self._learnt or not certificates(presented):
            return
        try:
            # Takes effect for the connections to come; what went before is left out at the next start.
            self.context.load_verify_locations(cadata=presented)
            self._keep(presented)
        except OSError as error:
            log.warning("authorities_not_kept", reason=str(error))

    async def _meet(self) -> None:
        """The first contact: what is fetched counts only if the fingerprint and the connection confirm it."""
        while True:
            try:
                presented = await self._fetch(None)
                known = authority_with(presented, self._fingerprint)
                self._keep(await self._fetch(ssl.create_default_context(cadata=known)))
            except UntrustedAuthority as error:
                raise self._not_trusted(str(error)) from error
            except aiohttp.ClientConnectorCertificateError as error:
                raise self._not_trusted(str(error.certificate_error)) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("controller_not_reachable", url=self._url, reason=str(error), retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _fetch(self, context: ssl.SSLContext | None) -> str:
        """The authorities that the controller presents; without a context, whoever answers."""
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.get(self._url + AUTHORITIES_PATH, ssl=False if context is None else context) as answer,
        ):
            if answer.status != 200:
                return ""
            return (await answer.content.read(_LARGEST_BUNDLE)).decode(errors="replace")

    def _new_context(self) -> ssl.SSLContext:
        try:
            given = self._ca_file.read_text() if self._ca_file else ""
            return ssl.create_default_context(cadata=given + "\n" + self._learnt)
        except (OSError, ValueError) as error:
            raise ControllerNotTrusted(
                f"{self._ca_file or self._learnt_path} cannot be used: {error}; it must hold "
                "certificates of the controller's authorities, as 'homeport tls authority' prints them"
            ) from error

    def _read_learnt(self) -> str:
        """What was learnt before, unless it came from another fingerprint than the present one."""
        try:
            origin, _, learnt = self._learnt_path.read_text().partition("\n")
        except (OSError, UnicodeDecodeError):
            return ""
        return learnt if origin == self._origin and certificates(learnt) else ""

    @property
    def _origin(self) -> str:
        return _LEARNT_FROM + (self._fingerprint or "the authorities of a file")

    def _keep(self, presented: str) -> None:
        part = self._learnt_path.with_suffix(".part")
        part.write_text(f"{self._origin}\n{presented}")
        part.replace(self._learnt_path)
        self._learnt = presented
        log.info("authorities_learnt", count=len(certificates(presented)))

    def _not_trusted(self, reason: str) -> ControllerNotTrusted:
        return ControllerNotTrusted(
            f"what answers at {self._url} is not the controller that was expected: {reason}; look whether "
            "the address is right, and take the fingerprint from 'homeport tls show' on the controller's "
            "machine"
        )
