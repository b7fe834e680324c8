"""Joining a cluster with a token: what the token says, and its exchange for credentials.

Whoever joins posts a ``JoinRequest`` to ``JOIN_PATH`` of the controller that the token names, once it has
verified that controller by the fingerprint in the token. The secret key is made by the machine that joins and
never comes back, so that an answer gives nothing away and may be repeated.
"""

import base64
import hashlib

import msgspec

JOIN_PATH = "/join"
TOKEN_PREFIX = "hpj1-"
SHORTEST_SECRET = 40
"""Characters of a secret key, as AWS has them; a machine may make a longer one."""
LONGEST_SECRET = 128


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a token carries. Its representation shows no secret."""

    id: str = msgspec.field(name="i")
    secret: str = msgspec.field(name="s")
    url: str = msgspec.field(name="u")
    """The controller, as machines that join reach it."""
    cluster: str = msgspec.field(name="c")
    region: str = msgspec.field(name="r")
    fingerprint: str = msgspec.field(default="", name="f")
    """That of the controller's authority; empty for plain HTTP, and where the system's authorities vouch."""

    def __repr__(self) -> str:
        return f"JoinToken(id={self.id!r}, url={self.url!r}, cluster={self.cluster!r})"


class FormerKey(msgspec.Struct, frozen=True, rename="camel"):
    """The credentials that a machine had before, which prove that it is the container instance that it says,
    even when they have ended.
    """

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"FormerKey(access_key_id={self.access_key_id!r})"


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of an exchange."""

    token_id: str
    token_secret: str
    exchange_id: str
    """Made for this exchange. The same again is the same exchange, whose answer was lost."""
    secret_access_key: str
    machine_id: str = ""
    container_instance_arn: str = ""
    """What this machine was before; empty for a new one."""
    former_key: FormerKey | None = None

    def __repr__(self) -> str:
        return f"JoinRequest(token_id={self.token_id!r}, exchange_id={self.exchange_id!r})"


class IssuedCredentials(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a machine is told about the credentials that it joined with, or that were renewed. Times are in
    epoch seconds.
    """

    access_key_id: str
    container_instance_arn: str
    issued_at: float
    expires_at: float


def token_text(token: JoinToken) -> str:
    """A token as people pass it on: one word of letters, digits, ``-`` and ``_``."""
    encoded = base64.urlsafe_b64encode(msgspec.json.encode(token))
    return TOKEN_PREFIX + encoded.decode().rstrip("=")


def parse_token(text: str) -> JoinToken:
    """What a token says.

    Raises ``ValueError``, which does not repeat the text.
    """
    encoded = text.strip()
    if not encoded.startswith(TOKEN_PREFIX):
        raise ValueError(f"a join token begins with {TOKEN_PREFIX}")
    encoded = encoded.removeprefix(TOKEN_PREFIX)
    try:
        return msgspec.json.decode(
            base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True),
            type=JoinToken,
        )
    except (ValueError, msgspec.DecodeError):
        raise ValueError("the join token is not whole: copy all of it") from None


def secret_hash(secret: str) -> str:
    """What is kept of a token's secret, whose 256 bits of chance need neither salt nor delay."""
    return hashlib.sha256(secret.encode()).hexdigest()
