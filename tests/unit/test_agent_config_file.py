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


OF_AMAZON_ECS_AGENT = """
    AWS_DEFAULT_REGION CREDENTIALS_FETCHER_HOST CREDENTIALS_FETCHER_HOST_DIR
    CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA DOCKER_HOST ECS_AGENT_APPARMOR_PROFILE
    ECS_AGENT_CONFIG_FILE_PATH ECS_AGENT_HEALTHCHECK_HOST ECS_AGENT_LABELS ECS_AGENT_PID_NAMESPACE_HOST
    ECS_AGENT_RUN_PRIVILEGED ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS ECS_ALTERNATE_CREDENTIAL_PROFILE
    ECS_APPARMOR_CAPABLE ECS_AUDIT_LOGFILE ECS_AUDIT_LOGFILE_DISABLED ECS_AVAILABLE_LOGGING_DRIVERS
    ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES ECS_AWSVPC_BLOCK_IMDS ECS_BACKEND_HOST ECS_CGROUP_CPU_PERIOD
    ECS_CGROUP_PATH ECS_CHECKPOINT ECS_CLUSTER ECS_CNI_PLUGINS_PATH ECS_CONTAINER_CREATE_TIMEOUT
    ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM ECS_CONTAINER_INSTANCE_TAGS ECS_CONTAINER_START_TIMEOUT
    ECS_CONTAINER_STOP_TIMEOUT ECS_DATADIR ECS_DETAILED_OS_FAMILY ECS_DISABLE_DOCKER_HEALTH_CHECK
    ECS_DISABLE_IMAGE_CLEANUP ECS_DISABLE_METRICS ECS_DISABLE_PRIVILEGED ECS_DISABLE_TASK_METADATA_AZ
    ECS_DOMAIN_JOINED_LINUX_INSTANCE ECS_DYNAMIC_HOST_PORT_RANGE ECS_EBSTA_SUPPORTED
    ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE ECS_ENABLE_CONTAINER_METADATA ECS_ENABLE_FIRELENS_ASYNC
    ECS_ENABLE_GPU_SUPPORT ECS_ENABLE_HIGH_DENSITY_ENI ECS_ENABLE_INF_SUPPORT ECS_ENABLE_PROMETHEUS_METRICS
    ECS_ENABLE_RUNTIME_STATS ECS_ENABLE_SPOT_INSTANCE_DRAINING ECS_ENABLE_TASK_CPU_MEM_LIMIT
    ECS_ENABLE_TASK_ENI ECS_ENABLE_TASK_IAM_ROLE ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST
    ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP ECS_ENGINE_AUTH_DATA ECS_ENGINE_AUTH_TYPE
    ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER
    ECS_EXCLUDE_IPV6_PORTBINDING ECS_EXCLUDE_UNTRACKED_IMAGE ECS_EXTERNAL
    ECS_FSX_WINDOWS_FILE_SERVER_SUPPORTED ECS_GMSA_SUPPORTED ECS_HOST_DATA_DIR ECS_IMAGE_CLEANUP_INTERVAL
    ECS_IMAGE_MINIMUM_CLEANUP_AGE ECS_IMAGE_PULL_BEHAVIOR ECS_IMAGE_PULL_INACTIVITY_TIMEOUT
    ECS_IMAGE_PULL_TIMEOUT ECS_INSTANCE_ATTRIBUTES ECS_INSTANCE_IP_COMPATIBILITY ECS_LOGFILE ECS_LOGLEVEL
    ECS_LOGLEVEL_ON_INSTANCE ECS_LOG_DRIVER ECS_LOG_MAX_FILE_SIZE_MB ECS_LOG_MAX_ROLL_COUNT ECS_LOG_OPTS
    ECS_LOG_OUTPUT_FORMAT ECS_LOG_ROLLOVER_TYPE ECS_MANIFEST_PULL_TIMEOUT ECS_NUM_IMAGES_DELETE_PER_CYCLE
    ECS_NVIDIA_RUNTIME ECS_OFFHOST_INTROSPECTION_INTERFACE_NAME ECS_PAUSE_LABELS
    ECS_POLLING_METRICS_WAIT_DURATION ECS_POLL_METRICS ECS_PROPAGATE_TASK_MEMORY_LIMIT_CGROUPV2
    ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT ECS_RESERVED_MEMORY ECS_RESERVED_PORTS ECS_RESERVED_PORTS_UDP
    ECS_SELINUX_CAPABLE ECS_SHARED_VOLUME_MATCH_FULL_CONFIG ECS_SKIP_LOCALHOST_TRAFFIC_FILTER
    ECS_TASK_METADATA_RPS_LIMIT ECS_TASK_PIDS_LIMIT ECS_UPDATES_ENABLED ECS_UPDATE_DOWNLOAD_DIR
    ECS_VOLUME_PLUGIN_CAPABILITIES ECS_WARM_POOLS_CHECK NONECS_NUM_CONTAINERS_DELETE_PER_CYCLE
    NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE
"""


@pytest.mark.parametrize("setting", OF_AMAZON_ECS_AGENT.split())
def test_every_setting_of_amazon_ecs_agent_is_honoured_or_said_to_have_no_effect(setting: str) -> None:
    assert (setting in variables()) != (setting in WITHOUT_EFFECT)


def test_no_setting_is_both_honoured_and_without_effect() -> None:
    assert not variables() & WITHOUT_EFFECT.keys()


def test_the_listing_names_every_setting_its_flag_and_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(["--settings"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown == listing(AgentConfig)
    for name in variables() | WITHOUT_EFFECT.keys():
        assert f"{name}\n" in shown or f"{name} [" in shown, name
    assert "--attributes, ECS_INSTANCE_ATTRIBUTES [InstanceAttributes]" in shown
