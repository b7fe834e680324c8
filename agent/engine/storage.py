"""Watches the disks that tasks fill, and keeps what the agent leaves on them within bounds."""

import asyncio
from pathlib import Path

import structlog

from agent.config import AgentConfig
from agent.engine.disk import UNKNOWN, DiskCondition, Disks, judge
from agent.engine.disk_usage import DiskUsage, disk_usage
from agent.engine.docker import Docker
from agent.engine.errors import EngineError
from agent.engine.image_cleanup import ImageCleanup
from agent.engine.image_ledger import ImageLedger
from agent.engine.janitor import Janitor
from agent.engine.orphaned_volumes import OrphanedVolumes
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

LOOK_S = 5.0
"""Time between two looks at the disks."""
RELIEF_S = 15.0
"""Time between two attempts to make room, while there is nothing more to be had at once."""


class Storage:
    """Knows how full the disks are; has stopped tasks and images removed, early when a disk fills up."""

    def __init__(
        self,
        disks: Disks,
        docker: Docker,
        janitor: Janitor,
        cleanup: ImageCleanup,
        orphans: OrphanedVolumes,
        ledger: ImageLedger,
        config: AgentConfig,
        clock: Clock,
    ) -> None:
        self._disks = disks
        self._docker = docker
        self._janitor = janitor
        self._cleanup = cleanup
        self._orphans = orphans
        self._ledger = ledger
        self._config = config
        self._clock = clock
        self._engine_root: Path | None = None
        self._condition = UNKNOWN
        self._changed = asyncio.Event()

    @property
    def condition(self) -> DiskCondition:
        """The disks as last measured."""
        return self._condition

    async def wait_for_change(self) -> None:
        """Return when the condition, or the percentage that it is about, has changed since the last
        return.
        """
        await self._changed.wait()
        self._changed.clear()

    async def run(self) -> None:
        """Measure and make room, for ever. An engine that takes its time over the one does not delay the
        other.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(), name="fill of the disks")
            group.create_task(self._make_room(), name="room on the disks")

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def _make_room(self) -> None:
        await self.look()
        relief_due = self._clock.monotonic()
        cleanup_due = relief_due + self._config.image_cleanup_interval_s
        while True:
            now = self._clock.monotonic()
            if self._condition.status != "OK" and now >= relief_due:
                await self._relieve()
                relief_due = self._clock.monotonic() + RELIEF_S
            if now >= cleanup_due:
                await self._remove_orphans()
                await self._remove_images(
                    self._config.image_minimum_cleanup_age_s, self._config.images_deleted_per_cycle
                )
                cleanup_due = self._clock.monotonic() + self._config.image_cleanup_interval_s
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Stop measuring."""
        await self._disks.close()

    async def look(self) -> DiskCondition:
        """Measure now."""
        paths = [self._config.data_dir]
        if (root := await self._root_of_the_engine()) is not None:
            paths.insert(0, root)
        fills = await self._disks.measure(paths)
        before = self._condition
        self._condition = judge(fills, self._config.disk_warning_percent, self._config.disk_full_percent)
        if self._condition.status != before.status:
            self._announce()
        if (self._condition.status, self._condition.percent) != (before.status, before.percent):
            self._changed.set()
        return self._condition

    def _announce(self) -> None:
        tell = log.info if self._condition.status == "OK" else log.warning
        disks = {fill.path: f"{fill.percent} %" for fill in self._condition.fills}
        tell("disk_condition", status=self._condition.status, disks=disks)

    async def usage(self) -> DiskUsage:
        """Who holds what. Raises ``EngineError``. The engine adds up files for it, which may take long."""
        body = await self._docker.disk_usage()
        ids = [entry["Id"] for entry in body.get("Containers") or ()]
        root = await self._root_of_the_engine()
        logs = {} if root is None else await self._disks.log_sizes(root, ids)
        pulled = {age.image.image_id for age in self._ledger.ages()}
        return disk_usage(body, await self.look(), pulled, logs)

    async def _root_of_the_engine(self) -> Path | None:
        """Where the engine keeps images and containers; None if it has not said so yet, or is elsewhere."""
        if self._engine_root is None and self._config.docker_host.startswith("unix://"):
            try:
                info, _ = await self._docker.facts()
            except EngineError as error:
                log.warning("disk_of_the_engine_unknown", reason=error.reason)
                return None
            self._engine_root = Path(info.get("DockerRootDir") or "/")
        return self._engine_root

    async def _relieve(self) -> None:
        """Make room: of stopped tasks first, then of images, young ones too if the disk is full."""
        await self._janitor.relieve(self._is_relieved)
        await self._remove_orphans()
        full = self._condition.status == "FULL"
        await self._remove_images(0.0 if full else self._config.image_minimum_cleanup_age_s, None)

    async def _remove_orphans(self) -> None:
        try:
            await self._orphans.remove()
        except EngineError as error:
            log.warning("orphaned_volumes_not_removed", reason=error.reason)

    async def _is_relieved(self) -> bool:
        return (await self.look()).status == "OK"

    async def _remove_images(self, minimum_age_s: float, most: int | None) -> None:
        if self._config.image_cleanup_disabled:
            return
        try:
            await self._cleanup.clean_up(minimum_age_s, most, self._never if most else self._is_relieved)
        except EngineError as error:
            log.warning("images_not_cleaned_up", reason=error.reason)

    @staticmethod
    async def _never() -> bool:
        return False
