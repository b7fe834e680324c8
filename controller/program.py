"""The program itself, which machines that join get from their controller, and need know no other place.

It is no secret, so everybody may fetch it. Whoever runs it compares its digest, which comes with the token.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from aiohttp import web

PROGRAM_PATH = "/homeport.tar.gz"
PARTS = ("LICENSE", "README.md", "agent", "controller", "deploy", "pyproject.toml")
"""What install.sh needs beside itself."""

_SCRIPT = "deploy/install.sh"


class Archive(msgspec.Struct, frozen=True, gc=False):
    """The program packed, and the SHA-256 of that in hexadecimal."""

    content: bytes
    sha256: str


class Program:
    """Packs the program when somebody asks for it first, and keeps the result."""

    def __init__(self, source: Path | None) -> None:
        """`source` is the folder with the program; None where it is not known."""
        self._source = source
        self._packing: asyncio.Task[Archive] | None = None

    async def archive(self) -> Archive | None:
        """The program; None where it is not known. Raises `OSError` if it cannot be read."""
        if self._source is None:
            return None
        if self._packing is None or (self._packing.done() and self._packing.exception() is not None):
            self._packing = asyncio.create_task(asyncio.to_thread(pack, self._source), name="pack program")
        return await asyncio.shield(self._packing)

    def routes(self) -> list[web.RouteDef]:
        """Where it is fetched."""
        return [web.get(PROGRAM_PATH, self._handle)]

    async def _handle(self, _request: web.Request) -> web.Response:
        archive = await self.archive()
        if archive is None:
            return web.Response(status=404, text="This controller was installed without its sources.\n")
        return web.Response(body=archive.content, content_type="application/gzip")


def find_source() -> Path | None:
    """The folder that this program runs from, or the one that install.sh has left beside it."""
    for place in (Path(__file__).parents[1], Path(sys.prefix) / "source"):
        if (place / _SCRIPT).exists():
            return place
    return None


def pack(source: Path) -> Archive:
    """The program in a folder as a compressed archive, the same whenever and by whomever it is packed.

    Raises:
        OSError: it cannot be read.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in files_of(source):
            entry = tarfile.TarInfo(str(path.relative_to(source)))
            content = path.read_bytes()
            entry.size = len(content)
            entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            archive.addfile(entry, io.BytesIO(content))
    content = packed.getvalue()
    return Archive(content, hashlib.sha256(content).hexdigest())


def files_of(source: Path) -> Iterator[Path]:
    """The program's files, in a settled order, without what Python leaves among them."""
    for part in PARTS:
        path = source / part
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in found if not each.is_dir() and "__pycache__" not in each.parts)
