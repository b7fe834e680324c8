"""The first contact with a controller elsewhere: who must vouch for it is settled before anything else."""

import http.client
import ssl
from urllib.parse import urlsplit

from agent.protocol.trust import AUTHORITIES_PATH, UntrustedAuthority, authority_with
from controller.cli.errors import CommandFailed

_TIMEOUT_S = 15.0
_LARGEST_BUNDLE = 256 * 1024


class CannotVerify(Exception):
    """The certificate of whoever answers is vouched for by nobody that is trusted."""


def fetch_authorities(url: str, context: ssl.SSLContext) -> str:
    """The certificates of the authorities that whoever answers at a URL presents; empty if it has none of its
    own.

    Raises:
        CannotVerify: the context does not trust it.
        CommandFailed: nobody answers.
    """
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("GET", AUTHORITIES_PATH)
        response = connection.getresponse()
        body = response.read(_LARGEST_BUNDLE).decode(errors="replace")
    except ssl.SSLCertVerificationError as error:
        raise CannotVerify(error.verify_message) from error
    except (OSError, http.client.HTTPException) as error:
        raise CommandFailed(
            f"no controller answers over HTTPS at {url}: {error or type(error).__name__}",
            "look whether the address is right, and whether it serves the network ('homeport up --lan')",
        ) from None
    finally:
        connection.close()
    return body if response.status == 200 else ""


def without_verifying() -> ssl.SSLContext:
    """For what is compared with a fingerprint afterwards, and for whether anybody answers at all."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def authorities_with(url: str, fingerprint: str) -> str:
    """The certificates of a controller's authorities, of which one has the fingerprint and vouches for it.

    Raises:
        CommandFailed: whoever answers is not that controller, or nobody does.
    """
    try:
        known = authority_with(fetch_authorities(url, without_verifying()), fingerprint)
        return fetch_authorities(url, ssl.create_default_context(cadata=known))
    except (UntrustedAuthority, CannotVerify) as error:
        raise CommandFailed(
            f"what answers at {url} is not the controller that was expected: {error}",
            "look whether the address is right, and take the fingerprint from 'homeport tls show' on the "
            "controller's machine",
        ) from None
