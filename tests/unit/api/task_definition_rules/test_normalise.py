"""The form in which task definitions are kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.errors import ClientException
from controller.api.render.task_definition import render_task_definition
from controller.api.task_definition_rules import compatibilities, normalise, required_attributes
from controller.api.task_definition_rules.sizes import cpu_units, memory_mib
from controller.state.entities import TaskDefinition
from controller.state.names import Names
from tests.unit.api.output_shapes import assert_output
from tests.unit.api.task_definition_rules.documents import container, definition, fargate


def test_defaults_are_filled_where_ecs_fills_them_and_nowhere_else() -> None:
    assert normalise(definition({"name": "web", "image": "web:1", "memory": 64})) == {
        "family": "web",
        "containerDefinitions": [
            {
                "name": "web",
                "image": "web:1",
                "memory": 64,
                "cpu": 0,
                "essential": True,
                "environment": [],
                "mountPoints": [],
                "portMappings": [],
                "systemControls": [],
                "volumesFrom": [],
            }
        ],
        "volumes": [],
        "placementConstraints": [],
    }


@pytest.mark.parametrize(
    ("network_mode", "host_port"), [(None, 0), ("bridge", 0), ("host", 80), ("awsvpc", 80)]
)
def test_a_host_port_is_filled_by_network_mode(network_mode: str | None, host_port: int) -> None:
    members = {} if network_mode is None else {"networkMode": network_mode}
    document = normalise(definition(container(portMappings=[{"containerPort": 80}]), **members))
    assert document["containerDefinitions"][0]["portMappings"] == [
        {"containerPort": 80, "hostPort": host_port, "protocol": "tcp"}
    ]


def test_a_port_range_gets_no_host_port() -> None:
    document = normalise(definition(container(portMappings=[{"containerPortRange": "80-90"}])))
    assert document["containerDefinitions"][0]["portMappings"] == [
        {"containerPortRange": "80-90", "protocol": "tcp"}
    ]


def test_a_health_check_gets_ecs_defaults() -> None:
    document = normalise(definition(container(healthCheck={"command": ["CMD", "true"], "retries": 5})))
    assert document["containerDefinitions"][0]["healthCheck"] == {
        "command": ["CMD", "true"],
        "interval": 30,
        "timeout": 5,
        "retries": 5,
    }


def test_volumes_get_their_kind_and_tags_stay_outside() -> None:
    document = normalise(
        definition(
            volumes=[{"name": "a"}, {"name": "b", "dockerVolumeConfiguration": {"driver": "local"}}],
            tags=[{"key": "a", "value": "b"}],
        )
    )
    assert document["volumes"] == [
        {"name": "a", "host": {}},
        {"name": "b", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}},
    ]
    assert "tags" not in document


@pytest.mark.parametrize(
    ("text", "units"),
    [("1024", 1024), ("1 vCPU", 1024), (".25 vcpu", 256), ("0.5VCPU", 512), (" 2 vCPU ", 2048)],
)
def test_task_cpu_is_read_in_every_form(text: str, units: int) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("0.5GB", 512), ("1 GB", 1024), ("30 gb", 30_720)])
def test_task_memory_is_read_in_every_form(text: str, mib: int) -> None:
    assert memory_mib(text) == mib


@pytest.mark.parametrize("text", ["", "0", "-1", "1 TB", "one", "1e3", "٣", "1.5", "9" * 5000])
def test_sizes_in_no_known_form_are_refused(text: str) -> None:
    with pytest.raises(ClientException):
        cpu_units(text)
    with pytest.raises(ClientException):
        memory_mib(text)


NAMES = st.sampled_from(["web", "side", "db", "cache"])
PORT_MAPPINGS = st.fixed_dictionaries(
    {},
    optional={
        "containerPort": st.integers(0, 65_535),
        "hostPort": st.integers(0, 65_535),
        "protocol": st.sampled_from(["tcp", "udp"]),
        "name": NAMES,
    },
)
CONTAINERS = st.fixed_dictionaries(
    {"name": NAMES, "image": st.just("web:1")},
    optional={
        "cpu": st.integers(0, 4096),
        "memory": st.integers(4, 4096),
        "essential": st.booleans(),
        "environment": st.lists(
            st.fixed_dictionaries({"name": NAMES, "value": st.text(max_size=3)}), max_size=2
        ),
        "portMappings": st.lists(PORT_MAPPINGS, max_size=3),
        "healthCheck": st.fixed_dictionaries(
            {"command": st.just(["CMD", "true"])}, optional={"interval": st.integers(5, 300)}
        ),
    },
)
VOLUMES = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "host": st.fixed_dictionaries({}, optional={"sourcePath": st.just("/data")}),
        "dockerVolumeConfiguration": st.fixed_dictionaries({}, optional={"driver": st.just("local")}),
        "efsVolumeConfiguration": st.just({"fileSystemId": "fs-1"}),
    },
)
DEFINITIONS = st.fixed_dictionaries(
    {"family": NAMES, "containerDefinitions": st.lists(CONTAINERS, min_size=1, max_size=3)},
    optional={
        "networkMode": st.sampled_from(["bridge", "host", "awsvpc", "none"]),
        "cpu": st.sampled_from(["256", "1 vCPU", ".5 vcpu"]),
        "memory": st.sampled_from(["512", "1 GB"]),
        "volumes": st.lists(VOLUMES, max_size=2),
        "requiresCompatibilities": st.just(["EC2"]),
    },
)


@given(DEFINITIONS)
def test_registering_what_is_described_changes_nothing(request: dict[str, Any]) -> None:
    document = normalise(request)
    record = TaskDefinition(
        family=document["family"],
        revision=1,
        document=document,
        requires_attributes=required_attributes(document),
        compatibilities=compatibilities(document),
        registered_at=1.0,
        registered_by="arn:aws:iam::000000000000:user/admin",
    )
    shown = render_task_definition(record, Names(account="000000000000", region="us-east-1"))
    assert_output("DescribeTaskDefinition", {"taskDefinition": shown})
    again = {name: value for name, value in shown.items() if name in document}
    assert normalise(again) == document


@given(DEFINITIONS)
def test_what_was_given_is_kept(request: dict[str, Any]) -> None:
    for before, after in zip(
        request["containerDefinitions"], normalise(request)["containerDefinitions"], strict=True
    ):
        for member in set(before) - {"portMappings", "healthCheck"}:
            assert after[member] == before[member]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (definition(), ("EXTERNAL", "EC2")),
        (definition(networkMode="host", cpu="256", memory="512"), ("EXTERNAL", "EC2", "MANAGED_INSTANCES")),
        (fargate(), ("EC2", "FARGATE", "MANAGED_INSTANCES")),
        (fargate(container(privileged=True), requiresCompatibilities=[]), ("EC2", "MANAGED_INSTANCES")),
        (
            definition(volumes=[{"name": "a", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
            ("EC2",),
        ),
    ],
)
def test_compatibilities_follow_from_the_document(
    request_: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert compatibilities(normalise(request_)) == expected


L, E = "com.amazonaws.ecs.capability.", "ecs.capability."


@pytest.mark.parametrize(
    ("request_", "attribute"),
    [
        (definition(), L + "docker-remote-api.1.18"),
        (definition(container(dockerLabels={"a": "b"})), L + "docker-remote-api.1.19"),
        (definition(container(linuxParameters={"initProcessEnabled": True})), L + "docker-remote-api.1.25"),
        (definition(container(privileged=True)), L + "privileged-container"),
        (definition(container(logConfiguration={"logDriver": "syslog"})), L + "logging-driver.syslog"),
        (
            definition(
                container(logConfiguration={"logDriver": "awslogs"}), executionRoleArn="arn:aws:iam::1:role/x"
            ),
            E + "execution-role-awslogs",
        ),
        (
            definition(
                container(
                    logConfiguration={
                        "logDriver": "splunk",
                        "secretOptions": [{"name": "t", "valueFrom": "arn:aws:secretsmanager:r:1:secret:x"}],
                    }
                )
            ),
            E + "secrets.asm.bootstrap.log-driver",
        ),
        (
            definition(container(secrets=[{"name": "A", "valueFrom": "a"}])),
            E + "secrets.ssm.environment-variables",
        ),
        (definition(container(image="000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1")), L + "ecr-auth"),
        (definition(taskRoleArn="arn:aws:iam::1:role/x"), L + "task-iam-role"),
        (
            definition(taskRoleArn="arn:aws:iam::1:role/x", networkMode="host"),
            L + "task-iam-role-network-host",
        ),
        (definition(networkMode="awsvpc"), E + "task-eni"),
        (definition(container(healthCheck={"command": ["CMD", "true"]})), E + "container-health-check"),
        (definition(container(stopTimeout=5)), E + "container-ordering"),
        (definition(container(restartPolicy={"enabled": True})), E + "container-restart-policy"),
        (
            definition(container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.env"}])),
            E + "env-files.s3",
        ),
        (
            definition(container(repositoryCredentials={"credentialsParameter": "x"})),
            E + "private-registry-authentication.secretsmanager",
        ),
        (definition(cpu="256"), E + "task-cpu-mem-limit"),
        (definition(cpu="11 vCPU"), E + "increased-task-cpu-limit"),
        (definition(pidMode="task"), E + "pid-ipc-namespace-sharing"),
        (definition(container(dockerSecurityOptions=["apparmor:p"])), L + "apparmor"),
        (definition(container(dockerSecurityOptions=["label:type:x"])), L + "selinux"),
        (definition(container(firelensConfiguration={"type": "fluentd"})), E + "firelens.fluentd"),
        (
            definition(container(portMappings=[{"containerPortRange": "80-90"}])),
            E + "network.container-port-range",
        ),
        (
            definition(volumes=[{"name": "a", "dockerVolumeConfiguration": {"driver": "rexray/ebs:1"}}]),
            E + "docker-plugin.rexray/ebs.1",
        ),
        (definition(volumes=[{"name": "a", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]), E + "efs"),
        (definition(enableFaultInjection=True), E + "fault-injection"),
    ],
)
def test_a_feature_requires_the_attribute_that_agents_register_for_it(
    request_: dict[str, Any], attribute: str
) -> None:
    assert attribute in required_attributes(normalise(request_))
    if attribute != L + "docker-remote-api.1.18":
        assert attribute not in required_attributes(normalise(definition()))
