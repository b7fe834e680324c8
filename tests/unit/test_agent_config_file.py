"""The settings file, what has no effect, and the listing of everything."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent import config_file
from agent.config import AgentConfig, ConfigError, load, variables
from agent.config_listing import listing
from agent.config_without_effect import WITHOUT_EFFECT, notices

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden-secret"}


@pytest.fixture(autouse=True)
def no_file_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_file, "DEFAULT_PATH", tmp_path / "usual.json")


def read(tmp_path: Path, *arguments: str, content: Any, **environment: str) -> AgentConfig:
    """The settings with a file of this content."""
    file = tmp_path / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return load(arguments, KEYS | {"ECS_AGENT_CONFIG_FILE_PATH": str(file)} | environment)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("Cluster", "prod", "cluster", "prod"),
        ("cluster", "prod", "cluster", "prod"),
        ("APIEndpoint", "http://10.0.0.1:8480", "controller_url", "http://10.0.0.1:8480"),
        ("DataDir", "/data", "data_dir", Path("/data")),
        ("ReservedMemory", 256, "reserved_memory", 256),
        ("ReservedPorts", [22, 80], "reserved_ports", (22, 80)),
        ("InstanceAttributes", {"rack": "a1"}, "instance_attributes", (("rack", "a1"),)),
        ("ContainerInstanceTags", {"team": "x"}, "container_instance_tags", (("team", "x"),)),
        ("PrivilegedDisabled", True, "disable_privileged", True),
        ("DockerStopTimeout", 90_000_000_000, "container_stop_timeout_s", 90.0),
        ("DockerStopTimeout", "1m30s", "container_stop_timeout_s", 90.0),
        ("HOMEPORT_AVAILABILITY_ZONE", "cellar", "availability_zone", "cellar"),
        ("ECS_DISABLE_METRICS", "true", "disable_metrics", True),
        ("Cluster", None, "cluster", "default"),
        ("Checkpoint", True, "cluster", "default"),
    ],
)
def test_a_setting_is_read_from_the_file(
    tmp_path: Path, name: str, value: Any, field: str, expected: object
) -> None:
    assert getattr(read(tmp_path, content={name: value}), field) == expected


def test_flags_and_variables_beat_the_file(tmp_path: Path) -> None:
    content = {"Cluster": "file", "InstanceAttributes": {"rack": "file"}}
    assert read(tmp_path, content=content, ECS_CLUSTER="variable").cluster == "variable"
    flags = ("--cluster", "flag", "--attributes", '{"rack":"flag"}', "--availability-zone", "attic")
    by_flag = read(tmp_path, *flags, content=content, ECS_CLUSTER="variable")
    assert (by_flag.cluster, by_flag.availability_zone) == ("flag", "attic")
    assert by_flag.instance_attributes == (("rack", "flag"),)


def test_a_file_named_by_a_flag_beats_the_variable(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"Cluster": "other"}')
    assert read(tmp_path, "--config", str(other), content={"Cluster": "one"}).cluster == "other"


def test_the_file_at_the_usual_place_need_not_exist_but_one_that_is_named_must(tmp_path: Path) -> None:
    assert load([], KEYS).cluster == "default"
    config_file.DEFAULT_PATH.write_text('{"Cluster": "usual"}')
    assert load([], KEYS).cluster == "usual"
    with pytest.raises(ConfigError, match=r"nowhere\.json does not exist"):
        load(["--config", str(tmp_path / "nowhere.json")], KEYS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"ReservedMemory": "much"},
            "ReservedMemory in .*config.json='much' cannot be used: accepted is a whole",
        ),
        (
            {"DisableMetrics": "yes"},
            "DisableMetrics in .*config.json='yes' cannot be used: accepted are 1, t",
        ),
        ({"DockerStopTimeout": 5}, "at least 1s"),
        ({"ReservedMemry": 256}, "ReservedMemry in .*config.json is no setting; there are .*ReservedMemory"),
        ("not JSON", "config.json cannot be read"),
        ("[]", "config.json cannot be read"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, content=content)


def test_what_was_chosen_is_told_from_what_was_left_alone(tmp_path: Path) -> None:
    config = read(tmp_path, "--cluster", "c", content={"ReservedMemory": 1}, HOMEPORT_INSTANCE_TYPE="nuc")
    assert config.given == {"cluster", "reserved_memory", "instance_type"}


def test_settings_without_effect_and_mistyped_names_are_noticed() -> None:
    given = {
        "ECS_CHECKPOINT": "true",
        "ECS_CLUSTR": "prod",
        "ECS_XYZZY": "1",
        "ECS_CLUSTER": "prod",
        "ECS_LOGFILE": "",
        "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x",
        "HOME": "/root",
    }
    assert notices(given, variables()) == [
        ("ECS_CHECKPOINT", "tasks are always kept on disk"),
        ("ECS_CLUSTR", "there is no such setting; did you mean ECS_CLUSTER?"),
        ("ECS_XYZZY", "there is no such setting"),
    ]


def test_no_setting_is_both_honoured_and_without_effect() -> None:
    assert not variables() & WITHOUT_EFFECT.keys()


def test_the_listing_names_every_setting_its_flag_and_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(["--settings"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown == listing(AgentConfig)
    for name in (variables() | WITHOUT_EFFECT.keys()) - {"ECS_DATADIR", "ECS_AGENT_CONFIG_FILE_PATH"}:
        assert f"{name}\n" in shown or f"{name} [" in shown, name
    assert "--attributes, ECS_INSTANCE_ATTRIBUTES [InstanceAttributes]" in shown
