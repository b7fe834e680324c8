"""Every setting from flags, environment and defaults, and precise errors for bad ones."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from agent import config
from agent.config import AgentConfig, ConfigError, load
from agent.config_values import Address, go_duration_s

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden-secret"}


def read(*arguments: str, **environment: str) -> AgentConfig:
    return load(arguments, KEYS | environment)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("ECS_BACKEND_HOST", "http://10.0.0.1:8480/", "controller_url", "http://10.0.0.1:8480"),
        ("ECS_BACKEND_HOST", "ecs.example.com", "controller_url", "https://ecs.example.com"),
        ("ECS_CLUSTER", "prod", "cluster", "prod"),
        ("AWS_DEFAULT_REGION", "eu-central-1", "region", "eu-central-1"),
        ("ECS_DATADIR", "/data", "data_dir", Path("/data")),
        ("HOMEPORT_DATA_DIR", "/srv/homeport", "data_dir", Path("/srv/homeport/agent")),
        ("DOCKER_HOST", "unix:///run/d.sock", "docker_host", "unix:///run/d.sock"),
        ("ECS_RESERVED_MEMORY", "256", "reserved_memory", 256),
        ("ECS_RESERVED_PORTS", "[22, 8480]", "reserved_ports", (22, 8480)),
        ("ECS_RESERVED_PORTS", "[]", "reserved_ports", ()),
        ("ECS_RESERVED_PORTS_UDP", "[53]", "reserved_ports_udp", (53,)),
        ("ECS_DYNAMIC_HOST_PORT_RANGE", "40000-41000", "dynamic_host_port_range", (40000, 41000)),
        (
            "ECS_AVAILABLE_LOGGING_DRIVERS",
            '["json-file","syslog"]',
            "available_logging_drivers",
            ("json-file", "syslog"),
        ),
        (
            "ECS_INSTANCE_ATTRIBUTES",
            '{"rack":"a1","disk":""}',
            "instance_attributes",
            (("rack", "a1"), ("disk", "")),
        ),
        ("ECS_CONTAINER_INSTANCE_TAGS", '{"team":"x"}', "container_instance_tags", (("team", "x"),)),
        ("ECS_DISABLE_PRIVILEGED", "T", "disable_privileged", True),
        ("ECS_DISABLE_METRICS", "1", "disable_metrics", True),
        ("ECS_ENABLE_FIRELENS_ASYNC", "false", "firelens_async", False),
        ("ECS_EXCLUDE_IPV6_PORTBINDING", "f", "exclude_ipv6_port_binding", False),
        ("ECS_CONTAINER_STOP_TIMEOUT", "1m30s", "container_stop_timeout_s", 90.0),
        ("ECS_CONTAINER_START_TIMEOUT", "45s", "container_start_timeout_s", 45.0),
        ("ECS_CONTAINER_CREATE_TIMEOUT", "2m", "container_create_timeout_s", 120.0),
        ("ECS_IMAGE_PULL_BEHAVIOR", "once", "image_pull_behavior", "once"),
        ("ECS_IMAGE_PULL_TIMEOUT", "1h", "image_pull_timeout_s", 3600.0),
        ("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", "10m", "task_cleanup_wait_s", 600.0),
        ("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER", "1h", "task_cleanup_jitter_s", 3600.0),
        ("ECS_POLLING_METRICS_WAIT_DURATION", "20s", "metrics_interval_s", 20.0),
        ("HOMEPORT_IMAGE_PULL_CONCURRENCY", "2", "image_pull_concurrency", 2),
        ("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "true", "task_cpu_mem_limit", True),
        ("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "F", "task_cpu_mem_limit", False),
        ("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "", "task_cpu_mem_limit", None),
        ("ECS_CGROUP_PATH", "/cgroup", "cgroup_path", Path("/cgroup")),
        ("ECS_CGROUP_CPU_PERIOD", "8ms", "cgroup_cpu_period_s", 0.008),
        ("ECS_TASK_PIDS_LIMIT", "256", "task_pids_limit", 256),
        ("HOMEPORT_METRICS_LISTEN", "[::1]:9100", "metrics_address", Address("::1", 9100)),
        ("ECS_LOGLEVEL", "debug", "log_level", "debug"),
        ("ECS_LOG_OUTPUT_FORMAT", "json", "log_format", "json"),
        ("HOMEPORT_AVAILABILITY_ZONE", "cellar", "availability_zone", "cellar"),
    ],
)
def test_a_setting_is_read_from_its_variable(variable: str, text: str, field: str, value: object) -> None:
    assert getattr(read(**{variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text", "accepted"),
    [
        ("ECS_BACKEND_HOST", "ftp://x", "a URL such as"),
        ("ECS_RESERVED_MEMORY", "-3", "a whole number of at least 0"),
        ("ECS_RESERVED_MEMORY", "1.5", "a whole number of at least 0"),
        ("ECS_RESERVED_PORTS", "22,80", "a JSON list of port numbers"),
        ("ECS_RESERVED_PORTS", "[0]", "from 1 to 65535"),
        ("ECS_DYNAMIC_HOST_PORT_RANGE", "5000-4000", "a range of ports"),
        ("ECS_AVAILABLE_LOGGING_DRIVERS", '["papyrus"]', "papyrus unknown"),
        ("ECS_INSTANCE_ATTRIBUTES", '{"a":1}', "a JSON object whose values are text"),
        ("ECS_DISABLE_METRICS", "yes", "1, t, T, true"),
        ("ECS_CONTAINER_STOP_TIMEOUT", "30", "a duration such as 30s"),
        ("ECS_CONTAINER_STOP_TIMEOUT", "500ms", "at least 1s"),
        ("ECS_CONTAINER_START_TIMEOUT", "10s", "at least 45s"),
        ("ECS_POLLING_METRICS_WAIT_DURATION", "30s", "at most 20s"),
        ("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "maybe", "1, t, T, true"),
        ("ECS_CGROUP_CPU_PERIOD", "7ms", "at least 0.008s"),
        ("ECS_TASK_PIDS_LIMIT", "0", "a whole number of at least 1"),
        ("ECS_TASK_PIDS_LIMIT", "4194305", "a whole number of at most 4194304"),
        ("ECS_CGROUP_CPU_PERIOD", "200ms", "at most 0.1s"),
        ("ECS_IMAGE_PULL_BEHAVIOR", "never", "default, always, once, prefer-cached"),
        ("HOMEPORT_IMAGE_PULL_CONCURRENCY", "0", "at least 1"),
        ("HOMEPORT_METRICS_LISTEN", "51680", "HOST:PORT"),
        ("HOMEPORT_METRICS_LISTEN", "h:70000", "HOST:PORT"),
        ("ECS_LOGLEVEL", "loud", "crit, error, warn, info, debug"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_itself_and_what_is_accepted(
    variable: str, text: str, accepted: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(**{variable: text})
    assert str(refused.value).startswith(f"{variable}={text!r} cannot be used: ")
    assert accepted in str(refused.value)


def test_a_bad_flag_is_named_as_the_flag_it_was() -> None:
    with pytest.raises(ConfigError, match=re.escape("--metrics='here'")):
        read("--metrics", "here")


def test_flags_beat_the_environment_which_beats_the_defaults() -> None:
    assert read().controller_url == "http://127.0.0.1:8480"
    assert read(ECS_BACKEND_HOST="http://env:1").controller_url == "http://env:1"
    assert (
        read("--controller", "http://flag:1", ECS_BACKEND_HOST="http://env:1").controller_url
        == "http://flag:1"
    )
    assert read("--data-dir", "/flag", ECS_DATADIR="/env").data_dir == Path("/flag")


def test_an_empty_variable_counts_as_one_that_is_not_set() -> None:
    assert read(ECS_CLUSTER="", ECS_RESERVED_MEMORY="") == read()


@pytest.mark.parametrize("missing", sorted(KEYS))
def test_an_agent_without_access_key_says_which_variable_is_missing(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is not set"):
        load([], {name: value for name, value in KEYS.items() if name != missing})


def test_the_secret_key_shows_in_no_representation() -> None:
    assert "hidden-secret" not in repr(read())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("10s", 10), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), (".5s", 0.5), ("1m0.5s", 60.5)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert go_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "1d", "1s2", "ten"])
def test_what_go_takes_for_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted is a duration"):
        go_duration_s(text)


def test_every_setting_says_what_it_means() -> None:
    module = ast.parse(Path(config.__file__).read_text())
    (body,) = (
        node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == "AgentConfig"
    )
    undocumented = [
        ast.unparse(setting.target)
        for setting, following in pairwise([*body, ast.Pass()])
        if isinstance(setting, ast.AnnAssign)
        and not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant))
    ]
    assert undocumented == []
