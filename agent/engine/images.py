"""Getting images: when to pull, each image once at a time.

Behaviours: ``always`` pulls and fails the task if that fails; ``default`` pulls and falls back on what is
there; ``once`` pulls what this agent has not pulled before; ``prefer-cached`` pulls only what is not there.
"""

import asyncio

import structlog

from agent.engine.docker import Docker
from agent.engine.errors import CannotPullContainerError, EngineError, NoSuchImageError
from agent.engine.records import ImageInspection
from agent.engine.registry_credentials import RegistryCredentials

log = structlog.get_logger(__name__)


_Wanted = tuple[str, RegistryCredentials | None]


class Images:
    """Brings images into the engine's store; tasks that want the same image share one pull."""

    def __init__(self, docker: Docker, behavior: str) -> None:
        self._docker = docker
        self._behavior = behavior
        self._under_way: dict[_Wanted, asyncio.Task[ImageInspection]] = {}
        self._pulled: set[str] = set()

    async def ensure(self, reference: str, credentials: RegistryCredentials | None = None) -> ImageInspection:
        """The image, pulled if the behaviour asks for it, as whoever ``credentials`` say.

        Raises ``CannotPullContainerError`` or another ``EngineError``.
        """
        wanted = (reference, credentials)
        shared = self._under_way.get(wanted)
        if shared is None:
            shared = asyncio.create_task(self._get(reference, credentials), name=f"image {reference}")
            self._under_way[wanted] = shared
            shared.add_done_callback(lambda done: self._finished(wanted, done))
        # One task giving up must not end the pull for the others.
        return await asyncio.shield(shared)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in tuple(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _finished(self, wanted: _Wanted, done: asyncio.Task[ImageInspection]) -> None:
        del self._under_way[wanted]
        if not done.cancelled():
            done.exception()  # seen here, in case nobody waits for it any more

    async def _get(self, reference: str, credentials: RegistryCredentials | None) -> ImageInspection:
        present = await self._present(reference)
        if not self._must_pull(reference, present):
            assert present is not None
            return present
        try:
            log.info("image_pull_started", image=reference)
            await self._docker.pull(reference, credentials)
        except EngineError as error:
            log.warning("image_pull_failed", image=reference, reason=error.reason)
            if self._behavior == "default" and present is not None:
                return present
            raise
        self._pulled.add(reference)
        log.info("image_pulled", image=reference)
        pulled = await self._present(reference)
        if pulled is None:
            raise CannotPullContainerError(f"{reference} is not there in spite of having been pulled")
        return pulled

    def _must_pull(self, reference: str, present: ImageInspection | None) -> bool:
        if present is None or self._behavior in ("default", "always"):
            return True
        return self._behavior == "once" and reference not in self._pulled

    async def _present(self, reference: str) -> ImageInspection | None:
        try:
            return await self._docker.inspect_image(reference)
        except NoSuchImageError:
            return None
