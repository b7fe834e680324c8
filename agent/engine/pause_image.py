"""The image of pause containers, which this agent makes itself: no registry is needed for it."""

import asyncio
import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import Any

import structlog

from agent.engine.docker import Docker
from agent.engine.errors import NoSuchImageError
from agent.engine.pause_program import can_pause, pause_program
from agent.engine.records import ImageInspection

log = structlog.get_logger(__name__)

_REPOSITORY = "homeport/pause"
_CONFIGURATION = ('ENTRYPOINT ["/pause"]', "USER 65535:65535")
_ARCHITECTURES = {"aarch64": "arm64"}
"""The engine's names, where ECS has others."""


class PauseImage:
    """Puts the image into the engine's store, again if somebody has removed it."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        self._architecture = ""
        self._making = asyncio.Lock()

    def open(self, info: Mapping[str, Any]) -> None:
        """Find out what machine the engine is on, ``info`` being its answer to ``/info``."""
        named = str(info.get("Architecture") or "")
        self._architecture = _ARCHITECTURES.get(named, named)

    @property
    def reference(self) -> str | None:
        """The image's name, whose tag says what is in it; None where there is no such image."""
        if not can_pause(self._architecture):
            return None
        content = pause_program(self._architecture) + "\n".join(_CONFIGURATION).encode()
        return f"{_REPOSITORY}:{hashlib.sha256(content).hexdigest()[:12]}"

    async def ensure(self, reference: str) -> ImageInspection:
        """The image under the name that a task has noted for it, made if it is not there.

        Raises ``EngineError``.
        """
        async with self._making:
            try:
                return await self._docker.inspect_image(reference)
            except NoSuchImageError:
                archive = _archive(pause_program(self._architecture))
                await self._docker.import_image(reference, archive, _CONFIGURATION)
                log.info("pause_image_made", image=reference)
                return await self._docker.inspect_image(reference)


def _archive(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()
