"""The agent's settings about images and disks."""

import dataclasses

from agent import config_values as values
from agent.config_fields import setting

NO_LOG_LIMIT = "none"


def _log_size(text: str) -> str:
    if text == NO_LOG_LIMIT or values.is_engine_size(text):
        return text
    raise ValueError(f"accepted are sizes such as 10m or 512k, and {NO_LOG_LIMIT}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """What is kept on the disks of the machine, and for how long. Durations are seconds."""

    engine_auth_type: str = setting("", "ECS_ENGINE_AUTH_TYPE", values.one_of("dockercfg", "docker"))
    """The form of ``engine_auth_data``: ``dockercfg`` or ``docker``."""

    engine_auth_data: str = setting("", "ECS_ENGINE_AUTH_DATA", str, secret=True)
    """Credentials for registries, as JSON. Tasks with ``repositoryCredentials`` of their own use those."""

    image_cleanup_disabled: bool = setting(False, "ECS_DISABLE_IMAGE_CLEANUP", values.boolean)
    """Never remove an image, however full the disk is."""

    image_cleanup_interval_s: float = setting(
        1800.0, "ECS_IMAGE_CLEANUP_INTERVAL", values.duration_s(at_least=600)
    )
    """Time between two removals of images that nobody uses."""

    image_minimum_cleanup_age_s: float = setting(
        3600.0, "ECS_IMAGE_MINIMUM_CLEANUP_AGE", values.duration_s(at_least=0)
    )
    """How long an image stays after it was pulled, unless the disk is full."""

    images_deleted_per_cycle: int = setting(
        5, "ECS_NUM_IMAGES_DELETE_PER_CYCLE", values.whole_number(at_least=1)
    )
    """How many images are removed at a time, unless the disk is filling up."""

    images_kept: tuple[str, ...] = setting((), "ECS_EXCLUDE_UNTRACKED_IMAGE", values.comma_list)
    """Names of images that are never removed."""

    stopped_tasks_kept: int = setting(100, "HOMEPORT_STOPPED_TASKS_KEPT", values.whole_number())
    """How many stopped tasks keep their containers for logs and inspection, the newest ones."""

    log_max_size: str = setting("10m", "HOMEPORT_LOG_MAX_SIZE", _log_size)
    """At what size a container's log file is rotated, where its definition does not say.

    ``none`` leaves it to the container engine. It concerns the log driver ``json-file`` only.
    """

    log_max_files: int = setting(3, "HOMEPORT_LOG_MAX_FILES", values.whole_number(at_least=1))
    """How many log files of that size a container keeps."""

    disk_warning_percent: int = setting(75, "HOMEPORT_DISK_WARNING_PERCENT", values.percentage)
    """Fill of a disk from which on unused images and stopped tasks are removed early, with a warning."""

    disk_full_percent: int = setting(85, "HOMEPORT_DISK_FULL_PERCENT", values.percentage)
    """Fill of a disk from which on no task is placed here. 100 never refuses one."""
