"""Becoming a member of a cluster by a token, and staying one: exchange and renewal of credentials."""

import asyncio
import secrets
import ssl
from random import Random
from typing import Any

import aiohttp
import msgspec
import structlog

from agent.identity import IdentityFile
from agent.membership import Membership, MembershipError, MembershipFile, Pending
from agent.protocol.joining import JOIN_PATH, FormerKey, IssuedCredentials, JoinRequest, JoinToken
from agent.session.api import ApiError, ControlPlaneClient, Unreachable, read_error
from agent.session.backoff import Backoff

log = structlog.get_logger(__name__)

CHECK_INTERVAL_S = 3600.0
"""Time between two looks whether the credentials are due for renewal."""
RENEWED_AFTER = 1 / 3
"""The share of their life after which credentials are renewed: a controller may be away for the rest."""

_SECRET_BYTES = 30  # forty characters, as AWS has them
_TIMEOUT = aiohttp.ClientTimeout(total=15.0)


class NotJoined(Exception):
    """This machine is no member of the cluster and cannot become one; the message says what to do."""


class Joining:
    """This machine's membership: from a token, or from an exchange before."""

    def __init__(
        self, token: JoinToken | None, url: str, file: MembershipFile, identity: IdentityFile
    ) -> None:
        """``token`` is what the operator gave; without one, or with the same again, the membership stays.
        ``url`` is the controller's: the token's, unless the operator knows better.
        """
        self._token = token
        self._url = url.rstrip("/")
        self._file = file
        self._identity = identity

    async def join(self, tls: ssl.SSLContext | None, machine_id: str, random: Random) -> Membership:
        """The membership, after the exchange of the token if there is one to exchange; takes as long as the
        controller is out of reach. ``tls`` verifies the controller; None: as the system does.

        Raises ``NotJoined`` if there is neither, or the controller refuses; ``MembershipError``;
        ``IdentityNotSavedError``.
        """
        present = self._own()
        if present and (self._token is None or present.token_id == self._token.id):
            return present
        if self._token is None:
            raise NotJoined(
                "the credentials in the data directory are another machine's, of which this is a copy: on "
                "the controller run 'homeport token create', and here the line that it prints or, where no "
                "service runs the agent, 'homeport agent --token TOKEN'"
            )
        pending = await self._pending(self._token.id)
        request = self._request(self._token, pending, present, machine_id)
        async with aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as http:
            issued = await _exchanged(http, self._url, request, tls, Backoff(random))
        membership = Membership(
            token_id=self._token.id,
            url=self._url,
            cluster=self._token.cluster,
            region=self._token.region,
            fingerprint=self._token.fingerprint,
            owner=self._identity.current.owner,
            access_key_id=issued.access_key_id,
            secret_access_key=pending.secret_access_key,
            issued_at=issued.issued_at,
            expires_at=issued.expires_at,
        )
        if issued.container_instance_arn != self._identity.current.container_instance_arn:
            # It registers as a new one then, with all that is told at a first registration only.
            await self._identity.update(container_instance_arn=None)
        await self._file.complete(membership)
        log.info("joined", cluster=membership.cluster, container_instance_arn=issued.container_instance_arn)
        return membership

    async def run(self, client: ControlPlaneClient) -> None:
        """Renew the credentials, for ever."""
        while True:
            membership = self._file.membership
            if membership is not None and client.server_now() >= due_at(membership):
                try:
                    await self._renew(client, membership)
                except (ApiError, Unreachable, NotJoined, MembershipError) as error:
                    log.warning(
                        "credentials_not_renewed", error=str(error), good_until=int(membership.expires_at)
                    )
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def _renew(self, client: ControlPlaneClient, membership: Membership) -> None:
        pending = await self._pending(membership.access_key_id)
        answer = await client.call(
            "RenewAgentCredentials",
            {"exchangeId": pending.exchange_id, "secretAccessKey": pending.secret_access_key},
            service="homeport",
        )
        issued = _issued(answer)
        renewed = msgspec.structs.replace(
            membership,
            access_key_id=issued.access_key_id,
            secret_access_key=pending.secret_access_key,
            issued_at=issued.issued_at,
            expires_at=issued.expires_at,
        )
        await self._file.complete(renewed)
        client.use(renewed.credentials)
        log.info("credentials_renewed", access_key_id=renewed.access_key_id)

    def _own(self) -> Membership | None:
        """The membership, unless it came with a copy of another machine's disk."""
        membership = self._file.membership
        return membership if membership and membership.owner == self._identity.current.owner else None

    async def _pending(self, replaces: str) -> Pending:
        pending = self._file.pending
        if pending is None or pending.replaces != replaces:
            pending = Pending(
                replaces=replaces,
                exchange_id=secrets.token_hex(16),
                secret_access_key=secrets.token_urlsafe(_SECRET_BYTES),
            )
            await self._file.begin(pending)
        return pending

    def _request(
        self, token: JoinToken, pending: Pending, present: Membership | None, machine_id: str
    ) -> JoinRequest:
        return JoinRequest(
            token_id=token.id,
            token_secret=token.secret,
            exchange_id=pending.exchange_id,
            secret_access_key=pending.secret_access_key,
            machine_id=machine_id,
            container_instance_arn=self._identity.current.container_instance_arn or "",
            former_key=_former_key(self._url, token, present),
        )


def due_at(membership: Membership) -> float:
    """When credentials are renewed, in epoch seconds."""
    return membership.issued_at + (membership.expires_at - membership.issued_at) * RENEWED_AFTER


def _former_key(url: str, token: JoinToken, present: Membership | None) -> FormerKey | None:
    """What proves to the controller who this machine is; another controller is not shown it."""
    if present is None or (url != present.url and token.fingerprint != (present.fingerprint or None)):
        return None
    return FormerKey(present.access_key_id, present.secret_access_key)


async def _exchanged(
    http: aiohttp.ClientSession,
    url: str,
    request: JoinRequest,
    tls: ssl.SSLContext | None,
    backoff: Backoff,
) -> IssuedCredentials:
    """Make an exchange, for as long as nobody answers who can. Raises ``NotJoined``."""
    while True:
        try:
            async with http.post(
                url + JOIN_PATH, data=msgspec.json.encode(request), ssl=tls or True
            ) as answer:
                status, headers, content = answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            if status == 200:
                return _issued(content)
            code, message = read_error(content, headers)
            reason = message or code or f"HTTP {status}"
            if status < 500:
                raise NotJoined(f"the controller at {url} refuses to let this machine join: {reason}")
        wait_s = backoff.next_wait_s()
        log.warning("not_joined_yet", url=url, reason=reason, retry_in_s=round(wait_s, 2))
        await asyncio.sleep(wait_s)


def _issued(answer: bytes | dict[str, Any]) -> IssuedCredentials:
    try:
        if isinstance(answer, bytes):
            return msgspec.json.decode(answer, type=IssuedCredentials)
        return msgspec.convert(answer, IssuedCredentials)
    except msgspec.DecodeError as error:
        raise NotJoined(f"what answers is no controller that gives credentials: {error}") from error
