"""From payloads to plans and create bodies."""

import itertools
import json
from typing import Any

import pytest

from agent.engine.container_body import create_body
from agent.engine.definition import demand, plan_task, stripped
from agent.engine.errors import DockerClientConfigError, HostConfigError
from agent.engine.payload_documents import InvalidTaskError
from agent.engine.ports import fixed_bindings, reported_bindings
from agent.engine.records import PortBinding
from agent.engine.refusals import refusal
from agent.engine.states import Dependency, RestartPlan, TaskPlan
from agent.protocol import acs
from tests.unit.engine.builders import ARN, acs_container, acs_task

MIB = 1024 * 1024


def planned(task: acs.Task) -> TaskPlan:
    """The task's plan, with names that end in 01, 02, …"""
    numbers = itertools.count(1)
    return plan_task(task, 30.0, lambda: f"{next(numbers):02d}")


def body_of(task: acs.Task, **settings: Any) -> dict[str, Any]:
    """The create body of the task's first container."""
    return create_body(task, planned(task), task.containers[0], "owner", settings.get("dynamic_ports"))


def docker_config(config: object = None, host_config: object = None) -> acs.DockerConfig:
    """A dockerConfig of two documents."""
    return acs.DockerConfig(
        config=None if config is None else json.dumps(config),
        host_config=None if host_config is None else json.dumps(host_config),
    )


def test_names_hold_family_revision_and_the_plain_part_of_the_name() -> None:
    volume = acs.Volume(name="da_ta", host=acs.HostVolumeProperties())
    found = planned(acs_task(acs_container("my_web-1"), volumes=(volume,)))

    assert found.volumes[0].source == "ecs-app-3-data-01"
    assert found.containers[0].docker_name == "ecs-app-3-myweb-1-02"


def test_links_and_volumes_from_are_dependencies_too() -> None:
    app = acs_container(
        "app",
        links=("db:database",),
        volumes_from=(acs.VolumeFrom(source_container="data"),),
        depends_on=(acs.ContainerDependency(container_name="db", condition="HEALTHY"),),
    )
    found = planned(acs_task(app, acs_container("db"), acs_container("data")))

    assert found.containers[0].depends_on == (
        Dependency("db", "HEALTHY"),
        Dependency("db", "START"),
        Dependency("data", "CREATE"),
    )


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        (acs_task(arn="nonsense"), "not an ARN"),
        (acs_task(arn="arn:aws:ecs:us-east-1:0:task"), "not the ARN of a task"),
        (acs_task(desired_status="PENDING"), "unrecognized desired status 'PENDING'"),
        (acs_task(acs_container("a"), acs_container("a")), "differ from each other"),
        (acs_task(acs_container(name="")), "need names"),
        (acs_task(acs_container(image=None)), "container web has no image"),
        (acs_task(acs_container(cpu=-1)), "negative cpu or memory"),
        (
            acs_task(acs_container(port_mappings=(acs.PortMapping(protocol="TCP"),))),
            "transport protocol 'TCP'",
        ),
        (acs_task(acs_container(overrides='{"memory":1}')), "overrides of container web"),
        (acs_task(acs_container(overrides='{"cpu":["1"]}')), "may hold only command"),
        (
            acs_task(acs_container(docker_config=acs.DockerConfig(config="{"))),
            "dockerConfig of container web",
        ),
        (acs_task(acs_container(docker_config=acs.DockerConfig(host_config="[]"))), "is not a JSON object"),
        (acs_task(volumes=(acs.Volume(name="v"),)), "no configuration for its type"),
        (acs_task(volumes=(acs.Volume(host=acs.HostVolumeProperties()),)), "a volume has no name"),
        (acs_task(acs_container(mount_points=(acs.MountPoint(source_volume="v"),))), "mounts volume 'v'"),
        (
            acs_task(acs_container(depends_on=(acs.ContainerDependency(container_name="x"),))),
            "unknown condition",
        ),
        (acs_task(acs_container(links=("nobody",))), "dependencies cannot be resolved"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused_with_what_is_wrong(task: acs.Task, complaint: str) -> None:
    with pytest.raises(InvalidTaskError, match=complaint):
        planned(task)


def test_a_circle_of_dependencies_is_refused() -> None:
    wait_a = acs.ContainerDependency(container_name="a", condition="START")
    wait_b = acs.ContainerDependency(container_name="b", condition="START")
    task = acs_task(acs_container("a", depends_on=(wait_b,)), acs_container("b", depends_on=(wait_a,)))

    with pytest.raises(InvalidTaskError, match=f"Task dependencies cannot be resolved, taskArn: {ARN}"):
        planned(task)


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (acs_task(network_mode="awsvpc"), "networkMode awsvpc on the Docker engine's architecture"),
        (acs_task(pid_mode="task"), "pidMode task on the Docker engine's architecture"),
        (acs_task(volumes=(acs.Volume(name="v", type="efs"),)), "neither a host path nor a docker volume"),
    ],
)
def test_what_the_agent_cannot_do_is_refused_by_name(task: acs.Task, what: str) -> None:
    assert what in refusal(task)
    assert refusal(acs_task()) == ""


def test_a_container_with_more_memory_than_its_task_is_refused() -> None:
    task = acs_task(acs_container(memory=129), memory=128)
    assert refusal(task) == (
        f"resource cannot be initialized for task {task.arn}: the memory of container web (129 MiB) is above "
        "that of the task (128 MiB)"
    )
    assert refusal(acs_task(acs_container(memory=128), memory=128)) == ""
    assert refusal(acs_task(acs_container(memory=129))) == ""


def test_the_tasks_cgroup_is_the_parent_whatever_the_definition_says() -> None:
    config = docker_config(host_config={"CgroupParent": "/mine"})
    task = acs_task(acs_container(docker_config=config))
    made = create_body(task, planned(task), task.containers[0], "owner", None, "/ecs/t1")
    assert made["HostConfig"]["CgroupParent"] == "/ecs/t1"
    assert "CgroupParent" not in body_of(acs_task())["HostConfig"]


def test_resources_follow_the_task_else_the_containers() -> None:
    reserving = acs_container(
        "a", cpu=100, memory=64, docker_config=docker_config(None, {"MemoryReservation": 32 * MIB})
    )
    fixed = acs.PortMapping(container_port=80, host_port=8080)
    dynamic = acs.PortMapping(container_port=81, host_port=0)
    second = acs_container("b", cpu=50, memory=16, port_mappings=(fixed, dynamic))

    summed = demand(acs_task(reserving, second))
    assert (summed.cpu, summed.memory, summed.ports_tcp) == (150, 48, frozenset({8080}))
    set_by_task = demand(acs_task(reserving, second, cpu=0.5, memory=256))
    assert (set_by_task.cpu, set_by_task.memory) == (512, 256)


@pytest.mark.parametrize(
    ("mode", "held"), [("host", {7000, 7001, 7002}), ("bridge", set()), ("awsvpc", set())]
)
def test_a_range_of_ports_is_held_where_the_container_has_the_hosts_own_network(
    mode: str, held: set[int]
) -> None:
    ports = acs.PortMapping(container_port_range="7000-7002", protocol="udp")
    assert demand(acs_task(acs_container(port_mappings=(ports,)), network_mode=mode)).ports_udp == held


def test_secrets_of_credentials_are_taken_out_of_what_is_kept_but_their_ids_stay() -> None:
    secret = acs.IAMRoleCredentials(
        credentials_id="id",
        role_arn="arn:role",
        access_key_id="key",
        secret_access_key="hidden",
        session_token="hidden too",
        expiration="2030-01-01T00:00:00Z",
    )
    kept = stripped(acs_task(role_credentials=secret))

    assert kept.role_credentials == acs.IAMRoleCredentials(credentials_id="id", role_arn="arn:role")
    assert kept.execution_role_credentials is None


def test_the_body_says_what_the_definition_says() -> None:
    task = acs_task(
        acs_container(
            command=("run", "it"),
            entry_point=("/entry",),
            environment={"A": "1"},
            cpu=0,
            memory=2,
            port_mappings=(acs.PortMapping(container_port=53, host_port=5353, protocol="udp"),),
        )
    )
    body = body_of(task)

    assert body["Image"] == "busybox"
    assert body["Cmd"] == ["run", "it"]
    assert body["Entrypoint"] == ["/entry"]
    assert body["ExposedPorts"] == {"53/udp": {}}
    assert body["Env"] == ["A=1", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1"]
    assert body["HostConfig"]["PortBindings"] == {"53/udp": [{"HostPort": "5353"}]}
    assert body["HostConfig"]["Memory"] == 4 * MIB, "the engine's least"
    assert body["HostConfig"]["CpuShares"] == 2, "the kernel's least"


def test_labels_of_ecs_cannot_be_overridden_but_others_can_be_set() -> None:
    labels = {"com.amazonaws.ecs.task-arn": "forged", "mine": "yes"}
    body = body_of(acs_task(acs_container(docker_config=docker_config({"Labels": labels}))))

    assert body["Labels"] == {
        "mine": "yes",
        "com.amazonaws.ecs.task-arn": ARN,
        "com.amazonaws.ecs.container-name": "web",
        "com.amazonaws.ecs.task-definition-family": "app",
        "com.amazonaws.ecs.task-definition-version": "3",
        "com.amazonaws.ecs.cluster": "default",
        "homeport.agent": "owner",
        "homeport.task-share": "{}",
        "homeport.container-share": '{"cpu":10,"memory":16}',
        "homeport.essential": "true",
    }


def test_documents_are_decoded_over_the_definition_with_every_field_kept() -> None:
    documents = docker_config(
        {"Env": ["B=2", "AWS_REGION=here"], "User": None, "Future": {"Field": 1}},
        {"Memory": 123 * MIB, "Sysctls": {"a": "b"}, "Future": [1]},
    )
    body = body_of(acs_task(acs_container(environment={"A": "1"}, docker_config=documents)))

    assert body["Env"] == ["B=2", "AWS_REGION=here"]
    assert body["Future"] == {"Field": 1}
    assert "User" not in body
    assert body["HostConfig"]["Memory"] == 123 * MIB
    assert body["HostConfig"]["Sysctls"] == {"a": "b"}
    assert body["HostConfig"]["Future"] == [1]


def test_an_override_replaces_the_command() -> None:
    body = body_of(acs_task(acs_container(command=("a",), overrides='{"command":["b","c"]}')))

    assert body["Cmd"] == ["b", "c"]


def test_dynamic_ports_are_left_to_the_engine_within_bounds() -> None:
    task = acs_task(acs_container(port_mappings=(acs.PortMapping(container_port=80),)))

    assert body_of(task)["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostPort": ""}]}
    bounded = body_of(task, dynamic_ports=(40000, 40100))
    assert bounded["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostPort": "40000-40100"}]}


@pytest.mark.parametrize("mode", ["host", "none"])
def test_without_a_network_of_their_own_containers_publish_nothing(mode: str) -> None:
    task = acs_task(acs_container(port_mappings=(acs.PortMapping(container_port=80),)), network_mode=mode)

    assert body_of(task)["HostConfig"]["NetworkMode"] == mode
    assert body_of(task)["HostConfig"]["PortBindings"] == {}


def test_the_network_mode_that_counts_is_that_of_the_host_config() -> None:
    hosted = acs_container(
        docker_config=docker_config(None, {"NetworkMode": "host"}),
        port_mappings=(acs.PortMapping(container_port=80, host_port=80),),
    )
    task = acs_task(hosted, network_mode="bridge")

    assert body_of(task)["HostConfig"]["NetworkMode"] == "host"
    (binding,) = fixed_bindings(task, hosted)
    assert (binding.bind_ip, binding.container_port, binding.host_port) == ("0.0.0.0", 80, 80)


def test_mounts_links_and_volumes_from_name_what_the_engine_knows() -> None:
    volumes = (
        acs.Volume(name="etc", host=acs.HostVolumeProperties(source_path="/etc")),
        acs.Volume(
            name="shared",
            type="docker",
            docker_volume_configuration=acs.DockerVolumeConfiguration(scope="shared", autoprovision=True),
        ),
    )
    app = acs_container(
        "app",
        mount_points=(
            acs.MountPoint(source_volume="etc", container_path="/host-etc", read_only=True),
            acs.MountPoint(source_volume="shared", container_path="/data"),
        ),
        links=("db:database", "db"),
        volumes_from=(acs.VolumeFrom(source_container="db", read_only=True),),
    )
    host_config = body_of(acs_task(app, acs_container("db"), volumes=volumes))["HostConfig"]

    assert host_config["Binds"] == ["/etc:/host-etc:ro", "shared:/data"]
    assert host_config["Links"] == ["ecs-app-3-db-04:database", "ecs-app-3-db-04:db"]
    assert host_config["VolumesFrom"] == ["ecs-app-3-db-04:ro"]


def test_a_health_check_that_is_announced_has_to_be_there() -> None:
    with pytest.raises(DockerClientConfigError, match="no Healthcheck"):
        body_of(acs_task(acs_container(health_check_type="docker")))


def test_a_mount_of_nothing_is_a_host_config_error() -> None:
    task = acs_task(acs_container(mount_points=(acs.MountPoint(source_volume="v", container_path="/v"),)))
    other = planned(acs_task())

    with pytest.raises(HostConfigError, match="no volume v"):
        create_body(task, other, task.containers[0], "owner", None)


def test_bindings_to_all_of_ipv6_are_left_out_unless_wanted() -> None:
    ports = (PortBinding(80, "tcp", "::", 8080), PortBinding(80, "tcp", "0.0.0.0", 8080))

    assert [b.bind_ip for b in reported_bindings(ports, with_ipv6=False)] == ["0.0.0.0"]
    assert [b.bind_ip for b in reported_bindings(ports, with_ipv6=True)] == ["0.0.0.0", "::"]


def test_what_has_no_effect_here_is_refused_by_name() -> None:
    ebs = acs.Attachment(attachment_type="amazonebs")
    for task, what in (
        (acs_task(attachments=(ebs,)), "an attachment of type amazonebs"),
        (acs_task(enable_fault_injection=True), "enableFaultInjection"),
        (acs_task(acs_container(credential_specs=("x",))), "credentialSpecs (container web)"),
        (
            acs_task(acs_container(managed_agents=(acs.ManagedAgent(name="ExecuteCommandAgent"),))),
            "the managed agent ExecuteCommandAgent (container web)",
        ),
        (acs_task(elastic_network_interfaces=(acs.ElasticNetworkInterface(),)), "a network interface"),
        (acs_task(associations=(acs.Association(type="elastic-inference"),)), "not a GPU"),
    ):
        assert what in refusal(task)


def test_a_log_driver_that_does_not_block_gets_the_buffer_of_ecs() -> None:
    def options(**given: str) -> object:
        log = {"LogConfig": {"Type": "json-file", "Config": given}}
        container = acs_container(docker_config=acs.DockerConfig(host_config=json.dumps(log)))
        return body_of(acs_task(container))["HostConfig"]["LogConfig"]["Config"]

    assert options(mode="non-blocking") == {"mode": "non-blocking", "max-buffer-size": "10m"}
    assert options(**{"mode": "non-blocking", "max-buffer-size": "1m"})["max-buffer-size"] == "1m"  # type: ignore[index]
    assert options(mode="blocking") == {"mode": "blocking"}


def test_gpus_are_asked_of_the_engine_and_told_to_the_container() -> None:
    gpus = tuple(acs.Association(type="gpu", name=name, containers=("web",)) for name in ("GPU-1", "GPU-2"))
    body = body_of(acs_task(acs_container("web"), associations=gpus))

    assert body["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-1", "GPU-2"], "Capabilities": [["gpu"]]}
    ]
    assert "NVIDIA_VISIBLE_DEVICES=GPU-1,GPU-2" in body["Env"]
    assert not any(entry.startswith("NVIDIA") for entry in body_of(acs_task())["Env"])


def test_a_restart_policy_has_ecs_default_period() -> None:
    def restart(**members: Any) -> object:
        return (
            planned(acs_task(acs_container(restart_policy=acs.RestartPolicy(**members))))
            .containers[0]
            .restart
        )

    assert restart(enabled=False) is None
    assert restart(enabled=True, ignored_exit_codes=(0, 7)) == RestartPlan((0, 7), 300.0)
    assert restart(enabled=True, restart_attempt_period=60) == RestartPlan((), 60.0)
