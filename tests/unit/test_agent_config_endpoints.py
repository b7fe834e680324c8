"""The agent's settings about what tasks see of it."""

import pytest

from agent.config import AgentConfig, ConfigError, load
from agent.config_endpoints import RateLimit

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def loaded(**environment: str) -> AgentConfig:
    """The settings of an environment."""
    return load([], KEYS | environment)


def test_the_defaults_are_those_of_ecs() -> None:
    config = loaded()

    assert config.task_address == "install"
    assert config.task_metadata_rate == RateLimit(per_second=40, burst=60)
    assert not config.disable_task_metadata_az


def test_each_can_be_set() -> None:
    config = loaded(
        HOMEPORT_TASK_ADDRESS="present",
        ECS_TASK_METADATA_RPS_LIMIT="100,200",
        ECS_DISABLE_TASK_METADATA_AZ="true",
    )

    assert config.task_address == "present"
    assert config.task_metadata_rate == RateLimit(100, 200)
    assert config.disable_task_metadata_az


@pytest.mark.parametrize("value", ["40", "40,", "0,60", "40,60,80", "-1,60", "4.5,6", "many"])
def test_a_rate_that_is_none_is_refused_with_what_is_accepted(value: str) -> None:
    with pytest.raises(ConfigError, match=r"ECS_TASK_METADATA_RPS_LIMIT=.*such as 40,60"):
        loaded(ECS_TASK_METADATA_RPS_LIMIT=value)


def test_an_unknown_way_to_reach_the_agent_is_refused() -> None:
    with pytest.raises(ConfigError, match="install, present, off"):
        loaded(HOMEPORT_TASK_ADDRESS="yes")
