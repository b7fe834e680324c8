"""Getting images: when to pull, each image once at a time, again when a registry falters.

Behaviours: ``always`` pulls and fails the task if that fails; ``default`` pulls and falls back on what is
there; ``once`` pulls what this agent has not pulled before; ``prefer-cached`` pulls only what is not there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from msgspec.structs import replace

from agent.engine.docker import Docker
from agent.engine.errors import CannotPullContainerError, DockerTimeoutError, EngineError, NoSuchImageError
from agent.engine.image_ledger import ImageLedger
from agent.engine.pull_progress import PullListener, PullProgress
from agent.engine.records import ImageInspection
from agent.engine.registry_credentials import RegistryCredentials, StaticCredentials
from agent.protocol.clock import Clock

T = TypeVar("T")

log = structlog.get_logger(__name__)

PULL_PAUSES_S = (1.1, 2.2, 4.4, 5.0)
"""Between the five attempts of a pull."""
_PROGRESS_LOGGED_S = 10.0

_CLEAR_REFUSALS = (
    "access denied",
    "access to the resource is denied",
    "authentication required",
    "does not exist",
    "invalid reference format",
    "manifest unknown",
    "no basic auth credentials",
    "no matching manifest",
    "not found",
    "server gave HTTP response to HTTPS client",
    "unauthorized",
)
"""What a registry says that says the same when it is asked again."""

_Wanted = tuple[str, RegistryCredentials | None]


class _Pull:
    """One pull under way."""

    def __init__(self, image: str, started_at: float) -> None:
        self.image = image
        self.started_at = started_at
        self.attempt = 1
        self.pausing = False
        self.listener = PullListener()

    def progress(self) -> PullProgress:
        state = "RETRYING" if self.pausing else "PULLING" if self.listener.begun else "WAITING"
        return self.listener.progress(self.image, state, self.started_at, self.attempt)


class Images:
    """Brings images into the engine's store; tasks that want the same image share one pull."""

    def __init__(
        self, docker: Docker, behavior: str, static: StaticCredentials, ledger: ImageLedger, clock: Clock
    ) -> None:
        """``static`` are for pulls that come without credentials of their own."""
        self._docker = docker
        self._behavior = behavior
        self._static = static
        self._ledger = ledger
        self._clock = clock
        self._under_way: dict[_Wanted, asyncio.Task[ImageInspection]] = {}
        self._pulls: dict[_Wanted, _Pull] = {}
        self._nothing_removed = asyncio.Event()
        self._nothing_removed.set()

    async def ensure(self, reference: str, credentials: RegistryCredentials | None = None) -> ImageInspection:
        """The image, pulled if the behaviour asks for it, as whoever ``credentials`` say.

        Raises ``CannotPullContainerError`` or another ``EngineError``.
        """
        wanted = (reference, credentials or self._static.of(reference))
        shared = self._under_way.get(wanted)
        if shared is None:
            shared = asyncio.create_task(self._get(wanted), name=f"image {reference}")
            self._under_way[wanted] = shared
            shared.add_done_callback(lambda done: self._finished(wanted, done))
        # One task giving up must not end the pull for the others.
        return await asyncio.shield(shared)

    def progress(self) -> tuple[PullProgress, ...]:
        """Every pull that is under way or waits for its turn."""
        return tuple(pull.progress() for pull in self._pulls.values())

    async def remove(self, removal: Callable[[], Awaitable[T]]) -> T:
        """Do ``removal``, while nobody is told that an image is there that goes in that moment.

        Whoever was told before has a task that is known, which ``removal`` is to look for first.
        """
        self._nothing_removed.clear()
        try:
            return await removal()
        finally:
            self._nothing_removed.set()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in tuple(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _finished(self, wanted: _Wanted, done: asyncio.Task[ImageInspection]) -> None:
        del self._under_way[wanted]
        if not done.cancelled():
            done.exception()  # seen here, in case nobody waits for it any more

    async def _get(self, wanted: _Wanted) -> ImageInspection:
        reference, _ = wanted
        await self._nothing_removed.wait()
        present = await self._present(reference)
        if present is not None:
            self._ledger.used((present.image_id,))
        if present is not None and not self._must_pull(reference):
            return present
        try:
            digest = await self._pull(wanted)
        except EngineError as error:
            log.warning("image_pull_failed", image=reference, reason=error.reason)
            if self._behavior == "default" and present is not None:
                return present
            raise
        pulled = await self._present(reference)
        if pulled is None:
            raise CannotPullContainerError(f"{reference} is not there in spite of having been pulled")
        was_there = present is not None and present.image_id == pulled.image_id
        self._ledger.pulled(reference, pulled.image_id, was_there=was_there)
        log.info("image_pulled", image=reference, digest=digest or pulled.digest, new=not was_there)
        return replace(pulled, digest=digest or pulled.digest)

    def _must_pull(self, reference: str) -> bool:
        if self._behavior == "once":
            return not self._ledger.has_pulled(reference)
        return self._behavior in ("default", "always")

    async def _present(self, reference: str) -> ImageInspection | None:
        try:
            return await self._docker.inspect_image(reference)
        except NoSuchImageError:
            return None

    async def _pull(self, wanted: _Wanted) -> str:
        """Pull, five times if need be. Returns the digest that the registry named, or nothing."""
        reference, credentials = wanted
        pull = self._pulls[wanted] = _Pull(reference, self._clock.now())
        telling = asyncio.create_task(self._tell(pull), name=f"progress of {reference}")
        try:
            for pause in PULL_PAUSES_S:
                log.info("image_pull_started", image=reference, attempt=pull.attempt)
                try:
                    await self._docker.pull(reference, credentials, pull.listener)
                    return pull.listener.digest
                except EngineError as error:
                    if _is_final(error):
                        raise
                    log.warning("image_pull_faltered", image=reference, reason=error.reason, again_in_s=pause)
                pull.pausing = True
                await asyncio.sleep(pause)
                pull.pausing, pull.listener, pull.attempt = False, PullListener(), pull.attempt + 1
            await self._docker.pull(reference, credentials, pull.listener)
            return pull.listener.digest
        finally:
            telling.cancel()
            del self._pulls[wanted]

    async def _tell(self, pull: _Pull) -> None:
        """Log how far a long pull is, now and then."""
        while True:
            await asyncio.sleep(_PROGRESS_LOGGED_S)
            progress = pull.progress()
            log.info(
                "image_pull_progress",
                image=pull.image,
                state=progress.state,
                layers=f"{progress.layers_done}/{progress.layers}",
                bytes=f"{progress.bytes_loaded}/{progress.bytes_total}",
            )


def _is_final(error: EngineError) -> bool:
    """Whether asking again would change nothing, or has been waited for long enough."""
    return isinstance(error, DockerTimeoutError) or any(words in str(error) for words in _CLEAR_REFUSALS)
