"""The docker volumes that a container mounts, made before it."""

from agent.engine.book import TaskRecord
from agent.engine.container_body import CLUSTER_LABEL, OWNER_LABEL, TASK_ARN_LABEL
from agent.engine.docker import Docker
from agent.engine.errors import CannotCreateVolumeError
from agent.engine.states import PlannedVolume
from agent.protocol.arn import last_segment


class Volumes:
    """Makes them."""

    def __init__(self, docker: Docker, owner: str) -> None:
        """``owner`` is the value of the label of this agent's volumes."""
        self._docker = docker
        self._owner = owner

    async def ensure(self, record: TaskRecord, container: str) -> None:
        """Make the volumes that a container mounts and that are not there.

        A shared one is used as it is, whatever driver it has. Raises ``EngineError``, and
        ``CannotCreateVolumeError`` also for a shared one that shall not be made and is not there.
        """
        mounted = {mount.source_volume for mount in record.container(container).mount_points}
        for volume in record.plan.volumes:
            if volume.name not in mounted or not (volume.create or volume.shared):
                continue
            if volume.shared and await self._docker.has_volume(volume.source):
                continue
            if not volume.create:
                raise CannotCreateVolumeError(
                    f"there is no docker volume {volume.source} on this instance, and autoprovision is off: "
                    "make it, or turn autoprovision on"
                )
            await self._docker.create_volume(self._body(record, volume))

    def _body(self, record: TaskRecord, volume: PlannedVolume) -> dict[str, object]:
        labels = dict(volume.labels)
        if volume.task_scoped:
            labels |= {
                TASK_ARN_LABEL: record.plan.arn,
                CLUSTER_LABEL: last_segment(record.definition.task_cluster_arn or ""),
                OWNER_LABEL: self._owner,
            }
        return {
            "Name": volume.source,
            "Driver": volume.driver,
            "DriverOpts": volume.driver_opts,
            "Labels": labels,
        }
