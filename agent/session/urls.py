"""The URLs of the websockets, spelt as amazon-ecs-agent spells them."""

from collections.abc import Mapping
from urllib.parse import quote_plus, urlsplit

AGENT_HASH = "homeport"
"""Where amazon-ecs-agent puts the hash of its commit: it tells a controller's people which agent this is."""


class BadEndpoint(ValueError):
    """An endpoint that no websocket can be opened to."""


def encode_query(parameters: Mapping[str, str]) -> str:
    """Go's ``url.Values.Encode``: sorted by name; a space becomes ``+``; only letters, digits and ``-_.~``
    stay.
    """
    return "&".join(
        f"{quote_plus(name, safe='-_.~')}={quote_plus(value, safe='-_.~')}"
        for name, value in sorted(parameters.items())
    )


def websocket_url(endpoint: str, parameters: Mapping[str, str]) -> str:
    """``<endpoint>/ws?<query>`` with the scheme ``ws`` or ``wss``. A path in the endpoint stays.

    Raises ``BadEndpoint`` if the endpoint is not an absolute ``http`` or ``https`` URL.
    """
    parts = urlsplit(endpoint)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise BadEndpoint(f"{endpoint!r} is not an http or https URL")
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return f"{scheme}://{parts.netloc}{path}ws?{encode_query(parameters)}"
