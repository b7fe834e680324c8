"""Answers of the local HTTP servers."""

from typing import Any

import msgspec
from aiohttp import web


def json_answer(body: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers={"Content-Type": "application/json"}
    )
