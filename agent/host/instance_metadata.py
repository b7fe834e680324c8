"""EC2 instance metadata, version 2: what the cloud tells a machine about itself.

Version 1 is never asked: other clouds answer to it with something else, and a request that somebody else
makes this machine forward cannot carry the token of version 2.
"""

import asyncio
from types import TracebackType
from typing import Self

import aiohttp

from agent.protocol.clock import Clock

TOKEN_LIFE_S = 21600
"""The longest that a token may live."""
_TOKEN_RENEWED_S = TOKEN_LIFE_S - 60.0
ANSWER_S = 2.0
"""How long one answer may take. On EC2 it takes a few milliseconds."""
_TOKEN_HEADER = "X-aws-ec2-metadata-token"


class MetadataUnavailable(Exception):
    """There is no instance metadata at the address, or none at this moment."""


class InstanceMetadata:
    """A client of one metadata service. Use it as an asynchronous context manager."""

    def __init__(self, endpoint: str, clock: Clock) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._clock = clock
        self._http: aiohttp.ClientSession | None = None
        self._token = ""
        self._token_expires = 0.0

    async def __aenter__(self) -> Self:
        # Never through a proxy: the address means something on this machine only.
        self._http = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def get(self, path: str) -> str | None:
        """The text at ``/latest/<path>``; None if there is nothing there. Raises ``MetadataUnavailable``."""
        status, text = await self._get_once(path, renew_token=False)
        if status == 401:
            status, text = await self._get_once(path, renew_token=True)
        if status == 404:
            return None
        if status != 200:
            raise MetadataUnavailable(f"{self._endpoint}/latest/{path} answers with HTTP {status}")
        return text

    async def _get_once(self, path: str, *, renew_token: bool) -> tuple[int, str]:
        token = await self._current_token(renew=renew_token)
        return await self._ask("GET", path, {_TOKEN_HEADER: token})

    async def _current_token(self, *, renew: bool) -> str:
        if renew or self._clock.monotonic() >= self._token_expires:
            asked = self._clock.monotonic()
            life = {f"{_TOKEN_HEADER}-ttl-seconds": str(TOKEN_LIFE_S)}
            status, token = await self._ask("PUT", "api/token", life)
            if status != 200 or not token:
                raise MetadataUnavailable(f"{self._endpoint} gives no token: HTTP {status}")
            self._token, self._token_expires = token, asked + _TOKEN_RENEWED_S
        return self._token

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if self._http is None:
            raise RuntimeError("the client is used outside its context")
        url = f"{self._endpoint}/latest/{path}"
        try:
            async with self._http.request(method, url, headers=headers, allow_redirects=False) as answer:
                return answer.status, (await answer.text(errors="replace")).strip()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise MetadataUnavailable(f"{url}: {type(error).__name__}: {error}") from error


async def first_answer(metadata: InstanceMetadata, path: str, within_s: float) -> str | None:
    """What is at ``path``, or None if there is nothing or nobody answers within ``within_s`` seconds."""
    try:
        async with asyncio.timeout(within_s):
            return await metadata.get(path)
    except (MetadataUnavailable, TimeoutError):
        return None
