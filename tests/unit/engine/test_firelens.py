"""Log routers: the configuration that they get, and what it does to the plan."""

import json

from agent.engine.definition import plan_task
from agent.engine.firelens import config_path, router_config
from agent.engine.refusals import refusal
from agent.engine.states import Dependency
from agent.protocol import acs
from tests.unit.engine.builders import ARN, acs_container, acs_task


def router(kind: str = "fluentbit", **options: str) -> acs.Container:
    """A log router with these options of its firelensConfiguration."""
    configuration = acs.FirelensConfiguration(type=kind, options=options)
    return acs_container("router", firelens_configuration=configuration)


def logging(options: dict[str, str], **members: object) -> acs.Container:
    """A container that logs through the router."""
    log_config = {"LogConfig": {"Type": "awsfirelens", "Config": options}}
    return acs_container("web", docker_config=acs.DockerConfig(host_config=json.dumps(log_config)), **members)


OPTIONS = {
    "Name": "http",
    "Host": "logs.example.test",
    "include-pattern": "^GET",
    "exclude-pattern": "health",
    "log-driver-buffer-limit": "2097152",
}


def test_fluent_bit_takes_lines_from_its_socket_and_gives_them_to_the_outputs_of_their_containers() -> None:
    container = router()
    config = router_config(acs_task(container, logging(OPTIONS), network_mode="bridge"), container)

    assert config_path(container) == "/fluent-bit/etc/fluent-bit.conf"
    for section in (
        "[INPUT]\n    Name forward\n    unix_path /var/run/fluent.sock\n",
        "[INPUT]\n    Name forward\n    Listen 0.0.0.0\n    Port 24224\n",
        "[FILTER]\n    Name grep\n    Match web-firelens*\n    Regex log ^GET\n",
        "[FILTER]\n    Name grep\n    Match web-firelens*\n    Exclude log health\n",
        f"    Record ecs_cluster default\n    Record ecs_task_arn {ARN}\n",
        "    Record ecs_task_definition app:3\n",
        "[OUTPUT]\n    Name null\n    Match firelens-healthcheck\n",
        "[OUTPUT]\n    Name http\n    Match web-firelens*\n    Host logs.example.test\n",
    ):
        assert section in config
    assert "log-driver-buffer-limit" not in config


def test_fluentd_has_its_own_words_for_the_same() -> None:
    container = router("fluentd", **{"config-file-type": "file", "config-file-value": "/extra.conf"})
    options = {"@type": "file", "path": "/log", "include-pattern": "^GET"}
    config = router_config(acs_task(container, logging(options), network_mode="awsvpc"), container)

    assert config_path(container) == "/fluentd/etc/fluent.conf"
    for element in (
        "<source>\n  @type unix\n  path /var/run/fluent.sock\n</source>\n",
        "<source>\n  @type forward\n  bind 127.0.0.1\n  port 24224\n</source>\n",
        "<filter web-firelens**>\n  @type grep\n  <regexp>\n",
        "    key log\n    pattern ^GET\n  </regexp>\n</filter>\n",
        "    ecs_task_definition app:3\n",
        "@include /extra.conf\n",
        "<match web-firelens**>\n  @type file\n  path /log\n</match>\n",
    ):
        assert element in config


def test_in_the_hosts_network_no_port_is_opened_and_metadata_can_be_left_out() -> None:
    container = router(**{"enable-ecs-log-metadata": "false"})
    config = router_config(acs_task(container, network_mode="host"), container)

    assert "24224" not in config
    assert "ecs_cluster" not in config


def test_containers_that_log_through_a_router_start_after_it_and_stop_before_it() -> None:
    task = acs_task(logging({}), router(), acs_container("other"))
    plan = plan_task(task, 30.0, lambda: "01")

    assert [c.depends_on for c in plan.containers] == [(Dependency("router", "START"),), (), ()]


def test_what_a_router_cannot_have_here_is_refused() -> None:
    assert refusal(acs_task(router(), logging({}))) == ""
    s3 = router(**{"config-file-type": "s3", "config-file-value": "arn:aws:s3:::bucket/file"})
    assert "config-file-type is not file (container router)" in refusal(acs_task(s3))
    assert "firelensConfiguration of type x" in refusal(acs_task(router("x")))
    secret = acs.Secret(name="key", target="LOG_DRIVER")
    assert "secretOptions of the log driver awsfirelens" in refusal(
        acs_task(router(), logging({}, secrets=(secret,)))
    )
