"""Failures of the Docker engine under the names that ECS gives them.

``reason`` is what people read in ``stoppedReason`` and in a container's ``reason``: ``<name>: <message>``.
"""


class EngineError(Exception):
    """A call of the Docker engine that failed."""

    name = "UnknownError"

    @property
    def reason(self) -> str:
        """The failure as ECS words it: error name, colon, message."""
        return f"{self.name}: {self}"


class EngineUnavailableError(EngineError):
    """The Docker engine cannot be reached at all."""

    name = "CannotConnectToDockerEngineError"


class DockerTimeoutError(EngineError):
    """A call took longer than its limit; what it asked for may or may not have happened."""

    name = "DockerTimeoutError"


class CannotPullContainerError(EngineError):
    """The image is not there and could not be fetched."""

    name = "CannotPullContainerError"


class CannotCreateContainerError(EngineError):
    """The engine refused the container's definition."""

    name = "CannotCreateContainerError"


class ContainerNameTakenError(CannotCreateContainerError):
    """Another container already has the name."""


class CannotStartContainerError(EngineError):
    """The container exists but could not be started."""

    name = "CannotStartContainerError"


class HostPortTakenError(CannotStartContainerError):
    """A host port that the container publishes belongs to somebody else."""


class CannotStopContainerError(EngineError):
    """The container could not be stopped, or lives in spite of SIGKILL."""

    name = "CannotStopContainerError"


class CannotInspectContainerError(EngineError):
    """The engine did not tell a container's state."""

    name = "CannotInspectContainerError"


class CannotRemoveContainerError(EngineError):
    """The container could not be removed."""

    name = "CannotRemoveContainerError"


class NoSuchContainerError(EngineError):
    """There is no container of that name or id."""

    name = "NoSuchContainerError"


class NoSuchImageError(EngineError):
    """The image is not in the engine's store."""

    name = "CannotInspectImageError"


class CannotRemoveImageError(EngineError):
    """The image could not be removed; it may be in use."""

    name = "CannotRemoveImageError"


class CannotCreateVolumeError(EngineError):
    """A docker volume could not be created."""

    name = "CannotCreateVolumeError"


class NoSuchVolumeError(EngineError):
    """No docker volume has that name."""


class CannotInspectVolumeError(EngineError):
    """The engine did not list its docker volumes."""

    name = "CannotInspectVolumeError"


class CannotRemoveVolumeError(EngineError):
    """A docker volume could not be removed."""

    name = "CannotRemoveVolumeError"


class CgroupError(EngineError):
    """The cgroup that bounds a task's CPU and memory could not be made or removed."""

    name = "CgroupError"


class ResourceInitializationError(EngineError):
    """Something that the task needs beside its containers cannot be had, such as a secret."""

    name = "ResourceInitializationError"


class DockerClientConfigError(EngineError):
    """``dockerConfig.config`` of a payload is not what the engine's API takes."""

    name = "DockerClientConfigError"


class HostConfigError(EngineError):
    """``dockerConfig.hostConfig``, a mount or a link of a payload makes no sense."""

    name = "HostConfigError"
