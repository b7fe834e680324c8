"""Join tokens and the credentials that machines get for them, for our own command and agent: service
`homeport`. Administrators make and revoke; agents renew their own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agent.protocol import joining
from agent.protocol.arn import last_segment
from controller.api.context import RequestContext
from controller.api.errors import ResourceNotFoundException, ServerException
from controller.api.identifiers import cluster_name, resolve_cluster
from controller.api.instance_keys import InstanceKeys, revoke
from controller.api.join_tokens import DEFAULT_LIFETIME_S, JoinTokens, state_of
from controller.config import ControllerConfig
from controller.program import PROGRAM_PATH, Program
from controller.state.entities import AccessKey, Document, JoinToken
from controller.state.names import Names

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("", "0.0.0.0", "::")
_SOME_WHERE_ELSE = ("192.0.2.1", 9)
"""An address that is set aside for documentation: routes to it are those to anywhere."""


class CreateJoinToken(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    cluster: str | None = None
    lifetime_s: float = DEFAULT_LIFETIME_S
    uses: int = 1
    endpoint: str | None = None
    """The controller as the joining machines reach it; by default as the caller did."""


class ListJoinTokens(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class RevokeJoinToken(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    id: str


class RevokeAgentCredentials(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    container_instance: str
    cluster: str | None = None


class RenewAgentCredentials(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name. Its representation shows no secret."""

    exchange_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"RenewAgentCredentials(exchange_id={self.exchange_id!r})"


class DescribeProgram(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class JoinOperations:
    """The operations."""

    def __init__(
        self, tokens: JoinTokens, keys: InstanceKeys, fingerprint: Callable[[], str], program: Program
    ) -> None:
        """`fingerprint` gives that of the authority that vouches for this controller; empty without one."""
        self._tokens = tokens
        self._keys = keys
        self._fingerprint = fingerprint
        self._program = program

    def create_join_token(self, context: RequestContext, request: CreateJoinToken) -> Document:
        """A new token; its text is told this once."""
        cluster = resolve_cluster(context, request.cluster)
        with context.transaction() as transaction:
            token, secret = self._tokens.create(transaction, cluster.name, request.lifetime_s, request.uses)
        url = request.endpoint or context.config.public_url or reachable(context.base_url, context.config)
        url = url.rstrip("/")
        text = joining.token_text(
            joining.JoinToken(
                id=token.id,
                secret=secret,
                url=url,
                cluster=token.cluster,
                region=context.read.names.region,
                fingerprint=self._fingerprint() if url.startswith("https:") else "",
            )
        )
        return {**_render(token, context.clock.now()), "endpoint": url, "token": text}

    def list_join_tokens(self, context: RequestContext, _request: ListJoinTokens) -> Document:
        """Every token that is remembered, the newest first, and the credentials of container instances."""
        tokens = sorted(
            context.read.all(JoinToken).values(), key=lambda token: (token.created_at, token.id), reverse=True
        )
        keys = sorted(
            (key for key in context.read.all(AccessKey).values() if key.instance),
            key=lambda key: (key.created_at, key.id),
            reverse=True,
        )
        now = context.clock.now()
        return {
            "joinTokens": [_render(token, now) for token in tokens],
            "credentials": [_render_key(key, now, context.read.names) for key in keys],
        }

    def revoke_join_token(self, context: RequestContext, request: RevokeJoinToken) -> Document:
        """Let nobody join with a token any more. Machines that did stay."""
        token = context.read.get(JoinToken, request.id)
        if token is None:
            raise ResourceNotFoundException(f"There is no join token {request.id}.")
        with context.transaction() as transaction:
            revoked = msgspec.structs.replace(token, revoked_at=token.revoked_at or transaction.now)
            transaction.put(revoked, "revoked")
        return {"joinToken": _render(revoked, context.clock.now())}

    def revoke_agent_credentials(self, context: RequestContext, request: RevokeAgentCredentials) -> Document:
        """Shut a container instance out: its agent can do nothing until its machine joins again."""
        cluster = cluster_name(context, request.cluster)
        instance = last_segment(request.container_instance)
        with context.transaction() as transaction:
            count = revoke(transaction, cluster, instance)
        if not count:
            raise ResourceNotFoundException(
                f"Container instance {instance} of cluster {cluster} has no credentials of its own."
            )
        return {"containerInstanceArn": context.read.names.instance_id(cluster, instance), "revoked": count}

    def renew_agent_credentials(self, context: RequestContext, request: RenewAgentCredentials) -> Document:
        """Credentials that follow those that the agent calls with."""
        with context.transaction() as transaction:
            key = self._keys.renew(
                transaction, context.caller.access_key_id, request.secret_access_key, request.exchange_id
            )
        return dict(msgspec.to_builtins(self._keys.told(key)))

    async def describe_program(self, _context: RequestContext, _request: DescribeProgram) -> Document:
        """Where machines that join fetch the program, and its digest; nothing where it is not known."""
        try:
            archive = await self._program.archive()
        except OSError as error:
            raise ServerException(f"The program cannot be read: {error}.") from error
        return {"path": PROGRAM_PATH, "sha256": archive.sha256} if archive else {}

    def typed(self) -> dict[str, tuple[type[msgspec.Struct], Any]]:
        """Every operation with the record that its input is decoded into."""
        return {
            "CreateJoinToken": (CreateJoinToken, self.create_join_token),
            "ListJoinTokens": (ListJoinTokens, self.list_join_tokens),
            "RevokeJoinToken": (RevokeJoinToken, self.revoke_join_token),
            "RevokeAgentCredentials": (RevokeAgentCredentials, self.revoke_agent_credentials),
            "DescribeProgram": (DescribeProgram, self.describe_program),
            "RenewAgentCredentials": (RenewAgentCredentials, self.renew_agent_credentials),
        }


def reachable(base_url: str, config: ControllerConfig) -> str:
    """The URL by which other machines reach a controller that the caller reaches by `base_url`. To a caller
    on the controller's own machine that is the address by which this machine reaches others, if it listens
    there."""
    parts = urlsplit(base_url)
    if parts.hostname not in LOOPBACK or config.listen_host not in EVERYWHERE:
        return base_url
    address = outward_address()
    return f"{parts.scheme}://{address}:{parts.port}" if address and parts.port else base_url


def outward_address() -> str:
    """This machine's address on the network of its default route; empty without one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOME_WHERE_ELSE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _render(token: JoinToken, now: float) -> Document:
    return {
        "id": token.id,
        "cluster": token.cluster,
        "state": state_of(token, now),
        "uses": token.uses,
        "usedCount": len(token.exchanges),
        "createdAt": token.created_at,
        "expiresAt": token.expires_at,
        "containerInstances": [made.instance for made in token.exchanges],
    }


def _render_key(key: AccessKey, now: float, names: Names) -> Document:
    ended = key.expires_at is not None and now >= key.expires_at
    return {
        "containerInstanceArn": names.instance_id(key.cluster or "", key.instance),
        "accessKeyId": key.id,
        "state": "revoked" if not key.enabled else "expired" if ended else "good",
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
    }
