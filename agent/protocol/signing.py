"""AWS Signature Version 4: signing and verifying requests, websocket upgrades and TCS frames.

The canonical query is built from the decoded parameters, so that a space sent as ``+`` (Go's form) and one
sent as ``%20`` give the same signature.
"""

import calendar
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote_plus, urlsplit

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# Hop-by-hop headers and headers that proxies and SDKs rewrite on the way; signing them would break valid
# requests.
UNSIGNED_HEADERS = frozenset(
    {"authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}
)


class SignatureError(Exception):
    """A request whose signature cannot be accepted."""


class MissingSignature(SignatureError):
    """The request carries no SigV4 ``Authorization`` header at all."""


class IncompleteSignature(SignatureError):
    """The request carries a signature that lacks a part, or a part that cannot be read."""


class SignatureMismatch(SignatureError):
    """The signature is not the one that the secret key gives for this request."""


class SignatureExpired(SignatureError):
    """The signature is genuine but made too long ago or too far ahead: the signer's clock is off."""

    def __init__(self, signed_at: float, now: float) -> None:
        self.signed_at = signed_at
        """When the signer believed to sign, in epoch seconds."""
        super().__init__(
            f"signature made at {signed_at:.0f} is {abs(now - signed_at):.0f} s away from {now:.0f}"
        )


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """An access key. Its representation shows the key id only."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r})"


class SignatureClaim(msgspec.Struct, frozen=True, gc=False):
    """What a request says about its own signature; nothing in it is verified yet."""

    access_key_id: str
    date: str
    """The day of the credential scope, ``yyyymmdd``."""
    region: str
    service: str
    """The signing name, such as ``ecs``."""
    signed_headers: tuple[str, ...]
    """Lower-case names, in the order given."""
    signature: str
    amz_date: str
    """The time of signing, ``yyyymmddThhmmssZ``."""
    session_token: str | None = None

    @property
    def signed_at(self) -> float:
        """The time of signing in epoch seconds."""
        return _epoch_seconds(self.amz_date)

    def __repr__(self) -> str:
        return f"SignatureClaim(access_key_id={self.access_key_id!r}, service={self.service!r})"


def sign(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    service: str,
    region: str,
    now: float,
) -> dict[str, str]:
    """Sign a request and return the headers to add to it.

    ``headers`` are those that the request will carry and that shall be signed; ``Host`` is taken from ``url``
    unless given. ``now`` is in epoch seconds.
    """
    parts = urlsplit(url)
    amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    added = {"X-Amz-Date": amz_date}
    if credentials.session_token:
        added["X-Amz-Security-Token"] = credentials.session_token
    canonical = {"host": host_of(url)} | _lower(headers.items()) | _lower(added.items())
    signed_headers = tuple(sorted(name for name in canonical if name not in UNSIGNED_HEADERS))
    request_hash = _canonical_request_hash(method, parts.path, parts.query, canonical, signed_headers, body)
    scope = f"{amz_date[:8]}/{region}/{service}/{TERMINATOR}"
    signature = _signature(credentials.secret_access_key, amz_date, scope, request_hash)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(signed_headers)}, Signature={signature}"
    )
    return added


def host_of(url: str) -> str:
    """The ``Host`` header of a request to ``url``: the port is left out where it is the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def parse_authorization(headers: Mapping[str, str]) -> SignatureClaim:
    """Read the signature that a request carries in its headers (names in any case).

    Raises ``MissingSignature`` if there is none and ``IncompleteSignature`` if it cannot be read.
    """
    given = _lower(headers.items())
    authorization = given.get("authorization", "")
    if not authorization:
        raise MissingSignature("the request has no Authorization header")
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"unsupported authorization scheme {algorithm[:40]!r}")
    fields = {}
    for item in rest.split(","):
        name, _, value = item.strip().partition("=")
        fields[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise IncompleteSignature(f"Authorization header requires {name!r} parameter")
    scope = fields["Credential"].rsplit("/", 4)
    if len(scope) != 5 or scope[4] != TERMINATOR or not all(scope):
        raise IncompleteSignature("Credential must be <key>/<date>/<region>/<service>/aws4_request")
    signed_headers = tuple(fields["SignedHeaders"].lower().split(";"))
    if "host" not in signed_headers:
        raise IncompleteSignature("'Host' must be a signed header")
    claim = SignatureClaim(
        access_key_id=scope[0],
        date=scope[1],
        region=scope[2],
        service=scope[3],
        signed_headers=signed_headers,
        signature=fields["Signature"],
        amz_date=given.get("x-amz-date", ""),
        session_token=given.get("x-amz-security-token"),
    )
    _check_date(claim)
    return claim


def _check_date(claim: SignatureClaim) -> None:
    if "x-amz-date" not in claim.signed_headers:
        raise IncompleteSignature("'X-Amz-Date' must be a signed header")
    try:
        _epoch_seconds(claim.amz_date)
    except ValueError:
        raise IncompleteSignature("X-Amz-Date must be in the form yyyymmddThhmmssZ") from None
    if claim.amz_date[:8] != claim.date:
        raise IncompleteSignature("the date of the credential scope is not the date of X-Amz-Date")


def verify(
    claim: SignatureClaim,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    secret_access_key: str,
    now: float,
    tolerance_s: float = 300,
) -> None:
    """Check ``claim`` against the request that carried it.

    ``path`` and ``query`` are as they came over the wire, still percent-encoded. Raises ``SignatureMismatch``
    if the signature is wrong. The time is looked at only after that, so that ``SignatureExpired`` means
    "genuine, but signed more than ``tolerance_s`` away from ``now``".
    """
    given = _lower(headers.items())
    # Go's signer signs the body's length even where it then renders a header block without it.
    given.setdefault("content-length", str(len(body)))
    missing = [name for name in claim.signed_headers if name not in given]
    if missing:
        raise SignatureMismatch(f"signed headers are missing from the request: {', '.join(missing)}")
    request_hash = _canonical_request_hash(
        method, path, query, given, tuple(sorted(claim.signed_headers)), body
    )
    scope = f"{claim.date}/{claim.region}/{claim.service}/{TERMINATOR}"
    expected = _signature(secret_access_key, claim.amz_date, scope, request_hash)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise SignatureMismatch("the signature does not match the request")
    if abs(now - claim.signed_at) > tolerance_s:
        raise SignatureExpired(claim.signed_at, now)


@lru_cache(maxsize=1024)
def _epoch_seconds(amz_date: str) -> float:
    return float(calendar.timegm(time.strptime(amz_date, "%Y%m%dT%H%M%SZ")))


def _canonical_request_hash(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed_headers: tuple[str, ...],
    body: bytes,
) -> str:
    lines = [method.upper(), _canonical_path(path), _canonical_query(query)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed_headers]
    lines += ["", ";".join(signed_headers), hashlib.sha256(body).hexdigest()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _canonical_path(path: str) -> str:
    """Resolve dot segments and repeated slashes, then encode once more, as every service but S3 asks."""
    if path in ("", "/"):
        return "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    trailing = "/" if path.endswith("/") and kept else ""
    return quote("/" + "/".join(kept) + trailing, safe="/~")


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        pairs.append((_encode(unquote_plus(name)), _encode(unquote_plus(value))))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _lower(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers under lower-case names; a header given twice becomes one with its values joined by commas."""
    result: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        result[key] = f"{result[key]},{value}" if key in result else value
    return result


def _signature(secret_access_key: str, amz_date: str, scope: str, request_hash: str) -> str:
    date, region, service, _ = scope.split("/")
    text = f"{ALGORITHM}\n{amz_date}\n{scope}\n{request_hash}"
    return hmac.digest(_signing_key(secret_access_key, date, region, service), text.encode(), "sha256").hex()


@lru_cache(maxsize=1024)
def _signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret_access_key).encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
