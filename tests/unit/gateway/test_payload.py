"""From a task definition to the payload, field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol import acs, envelope
from controller.gateway.payload import Payloads, task_payload
from controller.state.entities import Document, Task
from tests.unit.gateway.samples import NAMES, container, definition, task


def payload(of: Task | None = None, **members: Any) -> acs.Task:
    """The payload of a task whose definition has one container and these task-level members."""
    return task_payload(of or task(), definition(**members), NAMES, "RUNNING")


def first(**members: Any) -> acs.Container:
    """The payload's container of a container definition with these members."""
    return task_payload(task(), definition(container(**members)), NAMES, "RUNNING").containers[0]


def config(network_mode: str = "bridge", **members: Any) -> Document:
    """Docker's Config of a container definition with these members."""
    return _documents(network_mode, members)[0]


def host_config(network_mode: str = "bridge", **members: Any) -> Document:
    """Docker's HostConfig of a container definition with these members."""
    return _documents(network_mode, members)[1]


def _documents(network_mode: str, members: Document) -> tuple[Document, Document]:
    of = definition(container(**members), networkMode=network_mode)
    docker = task_payload(task(), of, NAMES, "RUNNING").containers[0].docker_config
    assert docker is not None
    assert docker.config is not None
    assert docker.host_config is not None
    return msgspec.json.decode(docker.config), msgspec.json.decode(docker.host_config)


def on_the_wire(shape: msgspec.Struct) -> Document:
    """What an agent reads."""
    document: Document = msgspec.json.decode(msgspec.json.encode(shape))
    return document


# --- the task ---


def test_a_task_says_who_it_is() -> None:
    sent = payload()
    assert sent.arn == "arn:aws:ecs:us-east-1:000000000000:task/default/" + f"{1:032x}"
    assert sent.task_cluster_arn == "arn:aws:ecs:us-east-1:000000000000:cluster/default"
    assert sent.task_definition_account_id == "000000000000"
    assert (sent.family, sent.version) == ("web", "3")
    assert sent.group == "family:web"
    assert sent.service_name is None


def test_a_service_task_names_its_service() -> None:
    sent = payload(task(service="api", group="service:api"))
    assert (sent.service_name, sent.group) == ("api", "service:api")


@pytest.mark.parametrize("status", ["RUNNING", "STOPPED"])
def test_a_stop_carries_the_complete_task_as_a_start_does(status: Any) -> None:
    sent = task_payload(task(), definition(), NAMES, status)
    assert sent.desired_status == status
    assert sent.containers[0].image == "busybox:1"


def test_task_cpu_goes_from_units_to_vcpus_and_memory_stays_in_mib() -> None:
    sent = payload(cpu="256", memory="512")
    assert (sent.cpu, sent.memory) == (0.25, 512)


def test_a_task_without_sizes_of_its_own_sends_none() -> None:
    assert not {"cpu", "memory"} & on_the_wire(payload()).keys()


@pytest.mark.parametrize(
    ("given", "sent"), [({}, "bridge"), *(({"networkMode": m}, m) for m in ("host", "none", "awsvpc"))]
)
def test_the_network_mode_stands_in_the_task(given: Document, sent: str) -> None:
    assert payload(**given).network_mode == sent


@pytest.mark.parametrize("mode", ["bridge", "host", "none"])
def test_the_network_mode_that_counts_stands_in_the_host_config(mode: str) -> None:
    assert host_config(mode)["NetworkMode"] == mode


def test_agents_choose_the_docker_network_of_an_awsvpc_task() -> None:
    assert "NetworkMode" not in host_config("awsvpc")


def test_pid_and_ipc_modes_are_the_tasks() -> None:
    sent = payload(pidMode="task", ipcMode="host")
    assert (sent.pid_mode, sent.ipc_mode) == ("task", "host")


@pytest.mark.parametrize(("given", "sent"), [("EC2", "EC2"), ("EXTERNAL", "EXTERNAL"), ("FARGATE", "EC2")])
def test_fargate_tasks_count_on_the_instance_like_any_other(given: str, sent: str) -> None:
    assert payload(task(launch_type=given)).launch_type == sent


def test_no_credentials_are_sent() -> None:
    wire = on_the_wire(payload(taskRoleArn="arn:aws:iam::1:role/r", executionRoleArn="arn:aws:iam::1:role/e"))
    assert not {"roleCredentials", "executionRoleCredentials"} & wire.keys()


def test_gpus_are_dealt_to_the_containers_that_ask() -> None:
    wants = {"resourceRequirements": [{"type": "GPU", "value": "1"}]}
    of = definition(container(**wants), container(name="idle"), container(name="other", **wants))
    sent = task_payload(task(gpu_ids=("gpu-a", "gpu-b")), of, NAMES, "RUNNING")
    assert [(each.name, each.type, each.containers) for each in sent.associations] == [
        ("gpu-a", "gpu", ("app",)),
        ("gpu-b", "gpu", ("other",)),
    ]


# --- volumes ---


def volume(**members: Any) -> Document:
    """The only volume of a payload, as an agent reads it."""
    only: Document = on_the_wire(payload(volumes=[{"name": "data", **members}]))["volumes"][0]
    return only


def test_a_host_volume_is_a_bind() -> None:
    assert volume(host={"sourcePath": "/srv"}) == {
        "name": "data",
        "type": "host",
        "host": {"sourcePath": "/srv"},
    }


@pytest.mark.parametrize("members", [{}, {"host": {}}])
def test_an_empty_volume_still_has_a_host_object(members: Document) -> None:
    assert volume(**members) == {"name": "data", "type": "host", "host": {}}


def test_a_docker_volume_keeps_its_configuration() -> None:
    configuration = {
        "scope": "shared",
        "autoprovision": True,
        "driver": "local",
        "driverOpts": {"type": "tmpfs"},
        "labels": {"a": "b"},
    }
    assert volume(dockerVolumeConfiguration=configuration) == {
        "name": "data",
        "type": "docker",
        "dockerVolumeConfiguration": configuration,
    }


def test_a_docker_volume_is_a_task_volume_of_the_local_driver_by_default() -> None:
    sent = volume(dockerVolumeConfiguration={})["dockerVolumeConfiguration"]
    assert (sent["scope"], sent["driver"], sent["autoprovision"]) == ("task", "local", False)


def test_an_efs_volume_keeps_its_configuration() -> None:
    configuration = {
        "fileSystemId": "fs-1",
        "rootDirectory": "/",
        "transitEncryption": "ENABLED",
        "transitEncryptionPort": 2049,
        "authorizationConfig": {"accessPointId": "fsap-1", "iam": "ENABLED"},
    }
    assert volume(efsVolumeConfiguration=configuration) == {
        "name": "data",
        "type": "efs",
        "efsVolumeConfiguration": configuration,
    }


def test_agents_refuse_volumes_that_need_a_missing_service() -> None:
    assert volume(configuredAtLaunch=True) == {"name": "data", "type": "amazonebs"}


# --- members of a container ---


def test_name_image_and_essential_are_kept() -> None:
    sent = first(name="side", image="nginx:1.27", essential=False)
    assert (sent.name, sent.image, sent.essential) == ("side", "nginx:1.27", False)


def test_cpu_stays_in_units_and_memory_in_mib() -> None:
    sent = first(cpu=128, memory=300)
    assert (sent.cpu, sent.memory) == (128, 300)


def test_a_container_without_a_hard_limit_sends_zero() -> None:
    of = definition({"name": "app", "image": "busybox:1", "memoryReservation": 32})
    assert on_the_wire(task_payload(task(), of, NAMES, "RUNNING"))["containers"][0]["memory"] == 0


def test_a_memory_reservation_goes_to_the_host_config_in_bytes() -> None:
    assert host_config(memoryReservation=32)["MemoryReservation"] == 32 * 1024 * 1024


def test_command_and_entry_point_are_kept() -> None:
    sent = first(command=["sleep", "1"], entryPoint=["/bin/sh", "-c"])
    assert (sent.command, sent.entry_point) == (("sleep", "1"), ("/bin/sh", "-c"))


def test_the_images_own_command_and_entry_point_are_left_alone() -> None:
    assert not {"command", "entryPoint"} & on_the_wire(first(command=[], entryPoint=[])).keys()


def test_the_environment_is_a_map_with_the_execution_environment_added() -> None:
    sent = first(environment=[{"name": "A", "value": "1"}, {"name": "EMPTY"}])
    assert sent.environment == {"A": "1", "EMPTY": "", "AWS_EXECUTION_ENV": "AWS_ECS_EC2"}


def test_environment_files_are_kept() -> None:
    file = {"value": "arn:aws:s3:::bucket/a.env", "type": "s3"}
    assert on_the_wire(first(environmentFiles=[file]))["environmentFiles"] == [file]


def test_links_and_volumes_from_are_kept() -> None:
    sent = first(
        links=["db:database"],
        volumesFrom=[{"sourceContainer": "db", "readOnly": True}, {"sourceContainer": "x"}],
    )
    assert sent.links == ("db:database",)
    assert [(each.source_container, each.read_only) for each in sent.volumes_from] == [
        ("db", True),
        ("x", False),
    ]


def test_mount_points_are_kept() -> None:
    sent = first(mountPoints=[{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}])
    assert sent.mount_points == (
        acs.MountPoint(source_volume="data", container_path="/data", read_only=True),
    )


def test_dependencies_are_kept() -> None:
    sent = first(dependsOn=[{"containerName": "db", "condition": "HEALTHY"}])
    assert sent.depends_on == (acs.ContainerDependency(container_name="db", condition="HEALTHY"),)


def test_start_and_stop_timeouts_are_seconds() -> None:
    sent = first(startTimeout=60, stopTimeout=5)
    assert (sent.start_timeout, sent.stop_timeout) == (60, 5)


def test_a_restart_policy_is_kept() -> None:
    policy = {"enabled": True, "ignoredExitCodes": [0, 137], "restartAttemptPeriod": 60}
    assert on_the_wire(first(restartPolicy=policy))["restartPolicy"] == policy


def test_container_overrides_are_an_empty_object_as_text() -> None:
    assert first().overrides == "{}"


def test_a_container_carries_its_arn() -> None:
    sent = payload().containers[0]
    assert sent.container_arn == NAMES.container(task(), "00000000-0000-4000-8000-000000000001")


def test_firelens_is_kept() -> None:
    firelens = {"type": "fluentbit", "options": {"enable-ecs-log-metadata": "true"}}
    assert on_the_wire(first(firelensConfiguration=firelens))["firelensConfiguration"] == firelens


def test_registry_credentials_come_from_the_secrets_manager_of_their_region() -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:1:secret:registry"
    assert on_the_wire(first(repositoryCredentials={"credentialsParameter": arn}))[
        "registryAuthentication"
    ] == {
        "type": "asm",
        "asmAuthData": {"credentialsParameter": arn, "region": "eu-west-1"},
    }


def test_secrets_name_their_provider_and_their_target() -> None:
    sent = first(
        secrets=[{"name": "A", "valueFrom": "/db/password"}],
        logConfiguration={
            "logDriver": "splunk",
            "secretOptions": [
                {"name": "splunk-token", "valueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:s"}
            ],
        },
    ).secrets
    assert [(each.name, each.provider, each.region, each.target) for each in sent] == [
        ("A", "ssm", "us-east-1", "CONTAINER"),
        ("splunk-token", "asm", "eu-west-1", "LOG_DRIVER"),
    ]


@pytest.mark.parametrize(
    ("log", "config"),
    [
        ({"logDriver": "json-file"}, {"mode": "non-blocking"}),
        (
            {"logDriver": "gelf", "options": {"tag": "x"}},
            {"tag": "x", "mode": "non-blocking"},
        ),
        ({"logDriver": "json-file", "options": {"mode": "blocking"}}, {"mode": "blocking"}),
        ({"logDriver": "awsfirelens", "options": {"Name": "null"}}, {"Name": "null"}),
    ],
)
def test_a_log_driver_gets_the_tasks_mode_unless_its_definition_names_one(
    log: Document, config: Document
) -> None:
    of = definition(container(logConfiguration=log))
    payloads = Payloads(NAMES)
    for mode, expected in (("non-blocking", config), ("", log.get("options", {}))):
        (sent,) = payloads.task(task(log_mode=mode), of, "RUNNING").containers
        assert sent.docker_config is not None
        assert msgspec.json.decode(sent.docker_config.host_config or "")["LogConfig"]["Config"] == expected


def test_a_container_without_a_log_configuration_keeps_the_engines_driver() -> None:
    (sent,) = task_payload(
        task(log_mode="non-blocking"), definition(container()), NAMES, "RUNNING"
    ).containers
    assert sent.docker_config is not None
    assert "LogConfig" not in msgspec.json.decode(sent.docker_config.host_config or "{}")


# --- ports ---


def ports(network_mode: str, *mappings: Document) -> list[Document]:
    """The payload's port mappings, as an agent reads them."""
    of = definition(container(portMappings=list(mappings)), networkMode=network_mode)
    sent: list[Document] = on_the_wire(task_payload(task(), of, NAMES, "RUNNING"))["containers"][0].get(
        "portMappings", []
    )
    return sent


def test_a_fixed_host_port_is_kept() -> None:
    assert ports("bridge", {"containerPort": 80, "hostPort": 8080, "protocol": "udp"}) == [
        {"containerPort": 80, "hostPort": 8080, "protocol": "udp"}
    ]


def test_a_dynamic_host_port_is_zero_and_the_protocol_tcp() -> None:
    assert ports("bridge", {"containerPort": 80}) == [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]


def test_protocols_are_lower_case() -> None:
    assert ports("bridge", {"containerPort": 80, "protocol": "UDP"})[0]["protocol"] == "udp"


@pytest.mark.parametrize("mode", ["host", "awsvpc"])
def test_host_and_container_port_are_one_where_there_is_one_port_space(mode: str) -> None:
    assert ports(mode, {"containerPort": 80})[0]["hostPort"] == 80


def test_a_port_range_has_no_single_ports() -> None:
    assert ports("bridge", {"containerPortRange": "8000-8010", "protocol": "tcp"}) == [
        {"containerPortRange": "8000-8010", "protocol": "tcp"}
    ]


def test_a_task_without_network_has_no_ports() -> None:
    assert ports("none", {"containerPort": 80}) == []


# --- Docker's Config ---


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"user": "1000:1000"}, {"User": "1000:1000"}),
        ({"workingDirectory": "/app"}, {"WorkingDir": "/app"}),
        ({"dockerLabels": {"a": "b"}}, {"Labels": {"a": "b"}}),
        ({"interactive": True}, {"OpenStdin": True}),
        ({"pseudoTerminal": True}, {"Tty": True}),
        ({"disableNetworking": True}, {"NetworkDisabled": True}),
        ({"hostname": "box"}, {"Hostname": "box"}),
        ({}, {}),
    ],
)
def test_what_goes_to_dockers_config(members: Document, expected: Document) -> None:
    assert config(**members) == expected


def test_an_awsvpc_container_has_no_host_name_of_its_own() -> None:
    assert "Hostname" not in config("awsvpc", hostname="box")


def test_a_health_check_is_in_nanoseconds_and_switches_reporting_on() -> None:
    check = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 1, "startPeriod": 10}
    assert config(healthCheck=check)["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 5_000_000_000,
        "Timeout": 2_000_000_000,
        "Retries": 1,
        "StartPeriod": 10_000_000_000,
    }
    assert first(healthCheck=check).health_check_type == "docker"


def test_a_health_check_has_ecss_defaults() -> None:
    check = config(healthCheck={"command": ["CMD", "true"]})["Healthcheck"]
    assert (check["Interval"], check["Timeout"], check["Retries"]) == (30_000_000_000, 5_000_000_000, 3)


def test_a_container_without_health_check_reports_no_health() -> None:
    assert first().health_check_type is None
    assert first(healthCheck={"command": ["NONE"]}).health_check_type is None


# --- Docker's HostConfig ---


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"privileged": True}, {"Privileged": True}),
        ({"readonlyRootFilesystem": True}, {"ReadonlyRootfs": True}),
        ({"dnsServers": ["10.0.0.2"]}, {"Dns": ["10.0.0.2"]}),
        ({"dnsSearchDomains": ["local"]}, {"DnsSearch": ["local"]}),
        ({"dockerSecurityOptions": ["no-new-privileges"]}, {"SecurityOpt": ["no-new-privileges"]}),
        ({"extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.3"}]}, {"ExtraHosts": ["db:10.0.0.3"]}),
        (
            {"ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}]},
            {"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 4096}]},
        ),
        (
            {"systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}]},
            {"Sysctls": {"net.core.somaxconn": "1024"}},
        ),
        (
            {"logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}}},
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
        ),
        ({"logConfiguration": {"logDriver": "none"}}, {"LogConfig": {"Type": "none", "Config": {}}}),
        ({}, {}),
    ],
)
def test_what_goes_to_dockers_host_config(members: Document, expected: Document) -> None:
    assert host_config(**members) == {"NetworkMode": "bridge", **expected}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (
            {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}},
            {"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]},
        ),
        (
            {
                "devices": [
                    {"hostPath": "/dev/fuse", "containerPath": "/dev/x", "permissions": ["read", "mknod"]}
                ]
            },
            {
                "Devices": [
                    {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/x", "CgroupPermissions": "rm"}
                ]
            },
        ),
        (
            {"devices": [{"hostPath": "/dev/fuse"}]},
            {
                "Devices": [
                    {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
                ]
            },
        ),
        ({"initProcessEnabled": True}, {"Init": True}),
        ({"sharedMemorySize": 128}, {"ShmSize": 128 * 1024 * 1024}),
        (
            {"tmpfs": [{"containerPath": "/run", "size": 64, "mountOptions": ["noexec", "nosuid"]}]},
            {"Tmpfs": {"/run": "size=64m,noexec,nosuid"}},
        ),
        ({"maxSwap": 100, "swappiness": 10}, {"MemorySwap": 164 * 1024 * 1024, "MemorySwappiness": 10}),
        ({"maxSwap": 0}, {"MemorySwap": 64 * 1024 * 1024}),
        ({"swappiness": 10}, {}),
    ],
)
def test_linux_parameters_go_to_dockers_host_config(parameters: Document, expected: Document) -> None:
    assert host_config(linuxParameters=parameters) == {"NetworkMode": "bridge", **expected}


# --- overrides ---


def overridden(**override: Any) -> acs.Container:
    """The container of a task with an override, over a definition with values of its own."""
    of = definition(
        container(
            command=["a"],
            cpu=64,
            memory=64,
            environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        )
    )
    given = task(options={"overrides": {"containerOverrides": [{"name": "app", **override}]}})
    return task_payload(given, of, NAMES, "RUNNING").containers[0]


def test_an_overridden_command_replaces() -> None:
    assert overridden(command=["b", "c"]).command == ("b", "c")


def test_an_overridden_environment_is_merged_by_name() -> None:
    sent = overridden(environment=[{"name": "B", "value": "3"}, {"name": "C", "value": "4"}])
    assert sent.environment == {"A": "1", "B": "3", "C": "4", "AWS_EXECUTION_ENV": "AWS_ECS_EC2"}


def test_overridden_cpu_and_memory_replace() -> None:
    sent = overridden(cpu=256, memory=512)
    assert (sent.cpu, sent.memory) == (256, 512)


def test_an_override_of_another_container_changes_nothing() -> None:
    given = task(options={"overrides": {"containerOverrides": [{"name": "other", "command": ["x"]}]}})
    assert task_payload(given, definition(), NAMES, "RUNNING") == payload()


def test_overridden_task_sizes_replace() -> None:
    sent = payload(task(options={"overrides": {"cpu": "512", "memory": "1024"}}), cpu="256", memory="512")
    assert (sent.cpu, sent.memory) == (0.5, 1024)


# --- kept translations ---


def test_kept_translations_give_what_fresh_ones_give() -> None:
    payloads = Payloads(NAMES)
    plain, with_override = task(1), task(2, options={"overrides": {"cpu": "512"}})
    of = definition(cpu="256")
    for each in (plain, with_override, task(3), plain):
        assert payloads.task(each, of, "RUNNING") == task_payload(each, of, NAMES, "RUNNING")


def test_a_changed_definition_is_translated_anew() -> None:
    payloads = Payloads(NAMES)
    payloads.task(task(), definition(container(image="old:1")), "RUNNING")
    assert (
        payloads.task(task(), definition(container(image="new:1")), "RUNNING").containers[0].image == "new:1"
    )


# --- golden ---


def test_the_whole_payload_of_a_web_task() -> None:
    of = definition(
        container(
            image="nginx:1.27",
            cpu=128,
            memory=128,
            memoryReservation=64,
            portMappings=[{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
            environment=[{"name": "A", "value": "1"}],
            mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}],
            healthCheck={"command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3},
            dockerLabels={"x": "y"},
            logConfiguration={"logDriver": "json-file"},
        ),
        volumes=[{"name": "data", "host": {}}],
        cpu="256",
        memory="512",
    )
    message = acs.PayloadMessage(
        message_id="p7",
        seq_num=7,
        tasks=(task_payload(task(service="web", group="service:web"), of, NAMES, "RUNNING"),),
    )
    assert msgspec.json.decode(envelope.encode(message)) == {
        "type": "PayloadMessage",
        "message": {
            "messageId": "p7",
            "seqNum": 7,
            "tasks": [
                {
                    "arn": "arn:aws:ecs:us-east-1:000000000000:task/default/00000000000000000000000000000001",
                    "taskClusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default",
                    "taskDefinitionAccountId": "000000000000",
                    "family": "web",
                    "version": "3",
                    "desiredStatus": "RUNNING",
                    "overrides": "{}",
                    "cpu": 0.25,
                    "memory": 512,
                    "networkMode": "bridge",
                    "launchType": "EC2",
                    "group": "service:web",
                    "serviceName": "web",
                    "volumes": [{"name": "data", "type": "host", "host": {}}],
                    "containers": [
                        {
                            "name": "app",
                            "image": "nginx:1.27",
                            "cpu": 128,
                            "memory": 128,
                            "essential": True,
                            "overrides": "{}",
                            "environment": {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "A": "1"},
                            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
                            "mountPoints": [
                                {"sourceVolume": "data", "containerPath": "/data", "readOnly": False}
                            ],
                            "healthCheckType": "docker",
                            "dockerConfig": {
                                "config": '{"Healthcheck":{"Interval":30000000000,"Retries":3,'
                                '"StartPeriod":0,'
                                '"Test":["CMD-SHELL","true"],"Timeout":5000000000},"Labels":{"x":"y"}}',
                                "hostConfig": '{"LogConfig":{"Config":{},"Type":"json-file"},'
                                '"MemoryReservation":67108864,"NetworkMode":"bridge"}',
                            },
                            "containerArn": "arn:aws:ecs:us-east-1:000000000000:container/default/"
                            "00000000000000000000000000000001/00000000-0000-4000-8000-000000000001",
                        }
                    ],
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("image", "registry_id", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/web:1", "123456789012", "eu-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/web@sha256:0", "123456789012", "cn-north-1"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/web", "123456789012", "us-east-1"),
    ],
)
def test_an_image_of_ecr_says_whom_to_ask_for_a_login(image: str, registry_id: str, region: str) -> None:
    found = first(image=image).registry_authentication
    assert found == acs.RegistryAuthenticationData(
        type="ecr",
        ecr_auth_data=acs.ECRAuthData(registry_id=registry_id, region=region, use_execution_role=False),
    )
    of = task(options={"overrides": {"executionRoleArn": "arn:aws:iam::123456789012:role/x"}})
    (with_role,) = task_payload(of, definition(container(image=image)), NAMES, "RUNNING").containers
    assert with_role.registry_authentication is not None
    assert with_role.registry_authentication.ecr_auth_data is not None
    assert with_role.registry_authentication.ecr_auth_data.use_execution_role


@pytest.mark.parametrize(
    "image", ["nginx:1", "registry.lan/123456789012.dkr.ecr.eu-west-1.amazonaws.com/web"]
)
def test_an_image_of_another_registry_is_pulled_as_nobody(image: str) -> None:
    assert first(image=image).registry_authentication is None


@pytest.mark.parametrize(
    ("driver", "role", "strategy"),
    [
        ("awslogs", {"executionRoleArn": "arn:aws:iam::123456789012:role/x"}, "ExecutionRole"),
        ("awslogs", {}, None),
        ("json-file", {"executionRoleArn": "arn:aws:iam::123456789012:role/x"}, None),
    ],
)
def test_logs_for_cloudwatch_are_written_as_the_execution_role(
    driver: str, role: Document, strategy: str | None
) -> None:
    of = definition(container(logConfiguration={"logDriver": driver}), **role)
    (found,) = task_payload(task(), of, NAMES, "RUNNING").containers
    assert found.logs_auth_strategy == strategy
