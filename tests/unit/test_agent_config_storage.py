"""The agent's settings about images and disks."""

import json
from typing import Any

import pytest

from agent.config import AgentConfig, ConfigError, load

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden-secret"}


def read(**environment: str) -> AgentConfig:
    return load((), KEYS | environment)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("ECS_DISABLE_IMAGE_CLEANUP", "true", "image_cleanup_disabled", True),
        ("ECS_IMAGE_CLEANUP_INTERVAL", "10m", "image_cleanup_interval_s", 600.0),
        ("ECS_IMAGE_MINIMUM_CLEANUP_AGE", "30m", "image_minimum_cleanup_age_s", 1800.0),
        ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", "9", "images_deleted_per_cycle", 9),
        ("ECS_EXCLUDE_UNTRACKED_IMAGE", "a:1, b ,", "images_kept", ("a:1", "b")),
        ("HOMEPORT_STOPPED_TASKS_KEPT", "0", "stopped_tasks_kept", 0),
        ("HOMEPORT_LOG_MAX_SIZE", "512k", "log_max_size", "512k"),
        ("HOMEPORT_LOG_MAX_SIZE", "none", "log_max_size", "none"),
        ("HOMEPORT_LOG_MAX_FILES", "5", "log_max_files", 5),
        ("HOMEPORT_DISK_WARNING_PERCENT", "60", "disk_warning_percent", 60),
        ("HOMEPORT_DISK_FULL_PERCENT", "100", "disk_full_percent", 100),
    ],
)
def test_each_setting_is_read(variable: str, text: str, field: str, value: Any) -> None:
    assert getattr(read(**{variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text", "accepted"),
    [
        ("ECS_IMAGE_CLEANUP_INTERVAL", "9m", "at least 600s"),
        ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", "0", "at least 1"),
        ("HOMEPORT_LOG_MAX_SIZE", "10 MB", "10m or 512k, and none"),
        ("HOMEPORT_DISK_FULL_PERCENT", "101", "from 1 to 100"),
        ("HOMEPORT_DISK_WARNING_PERCENT", "0", "from 1 to 100"),
        ("ECS_ENGINE_AUTH_TYPE", "netrc", "dockercfg, docker"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_can(
    variable: str, text: str, accepted: str
) -> None:
    with pytest.raises(ConfigError, match=accepted):
        read(**{variable: text})


def test_credentials_for_registries_are_checked_at_the_start_and_shown_nowhere() -> None:
    data = json.dumps({"r.lan": {"username": "alice", "password": "s3cret"}})
    good = read(ECS_ENGINE_AUTH_TYPE="docker", ECS_ENGINE_AUTH_DATA=data)
    assert good.engine_auth_data == data
    assert "s3cret" not in repr(good)
    with pytest.raises(ConfigError, match="accepted are dockercfg, docker") as refusal:
        read(ECS_ENGINE_AUTH_DATA=data)
    assert "s3cret" not in str(refusal.value)
