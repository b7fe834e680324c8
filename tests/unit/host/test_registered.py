"""What this machine says of itself when it registers."""

from collections.abc import Iterable
from typing import Any

import msgspec
import psutil
import pytest

from agent.config import load
from agent.host.attributes import Attribute, EngineFacts, built_in_attributes, engine_facts, logging_drivers
from agent.host.machine import Machine, read_machine
from agent.host.resources import ReservedTooMuch, total_resources

MACHINE = Machine(machine_id="m", boot_id="b", cpus=4, memory_mib=7812, architecture="x86_64")
DOCKER = EngineFacts("20.10.24", (1, 41), ("json-file", "syslog", "local", "awslogs"), ("local", "x:latest"))
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


def resources(machine: Machine = MACHINE, reserved: int = 0, ports: Iterable[int] = (22, 80, 22)) -> Any:
    found = total_resources(
        machine, reserved_memory_mib=reserved, reserved_ports=ports, reserved_ports_udp=()
    )
    return msgspec.json.decode(msgspec.json.encode(found))


def test_resources_are_registered_in_ecs_units() -> None:
    assert resources(reserved=512) == [
        {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 7300},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "80"]},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]


def test_a_port_that_the_system_chooses_is_not_reserved() -> None:
    assert resources(ports=(0, 22))[2]["stringSetValue"] == ["22"]


def test_reserving_more_memory_than_there_is_is_refused() -> None:
    with pytest.raises(ReservedTooMuch, match="7812 MiB"):
        resources(reserved=7813)
    assert "integerValue" not in resources(reserved=7812)[1]


def test_the_machine_is_what_psutil_sees() -> None:
    machine = read_machine()
    assert machine.cpus == psutil.cpu_count()
    assert machine.memory_mib == psutil.virtual_memory().total // 1024**2
    assert machine.boot_id
    assert machine.architecture in {"x86_64", "arm64"}


def attributes(engine: EngineFacts = DOCKER, **environment: str) -> dict[str, str | None]:
    found = built_in_attributes(load([], KEYS | environment), MACHINE, engine)
    assert len(found) == len({attribute.name for attribute in found}), "no attribute is sent twice"
    return {attribute.name: attribute.value for attribute in found}


def test_capabilities_have_a_name_and_no_value() -> None:
    found = attributes()
    for name in (
        "com.amazonaws.ecs.capability.privileged-container",
        "com.amazonaws.ecs.capability.logging-driver.json-file",
        "com.amazonaws.ecs.capability.logging-driver.none",
        "com.amazonaws.ecs.capability.docker-remote-api.1.17",
        "com.amazonaws.ecs.capability.docker-remote-api.1.32",
        "ecs.capability.container-health-check",
        "ecs.capability.container-ordering",
        "ecs.capability.container-restart-policy",
        "ecs.capability.network.container-port-range",
        "ecs.capability.full-sync",
        "ecs.capability.docker-plugin.local",
        "ecs.capability.docker-plugin.x.latest",
        "ecs.capability.secrets.ssm.environment-variables",
        "ecs.capability.secrets.asm.bootstrap.log-driver",
        "ecs.capability.env-files.s3",
        "ecs.capability.private-registry-authentication.secretsmanager",
        "ecs.capability.execution-role-ecr-pull",
        "com.amazonaws.ecs.capability.ecr-auth",
    ):
        assert found[name] is None
    assert msgspec.to_builtins(Attribute("a")) == {"name": "a"}


def test_the_versions_that_ecs_never_advertises_are_left_out() -> None:
    found = attributes()
    for version in ("1.16", "1.26", "1.27", "1.31", "1.33", "1.41"):
        assert f"com.amazonaws.ecs.capability.docker-remote-api.{version}" not in found


def test_an_engine_advertises_no_newer_api_than_it_has() -> None:
    found = attributes(EngineFacts("1.12", (1, 23), ("json-file",)))
    assert "com.amazonaws.ecs.capability.docker-remote-api.1.23" in found
    assert "com.amazonaws.ecs.capability.docker-remote-api.1.24" not in found
    assert "ecs.capability.container-health-check" not in found


@pytest.mark.parametrize("possible", [True, False])
def test_namespaces_that_containers_share_are_advertised_where_they_can_be_made(possible: bool) -> None:
    found = attributes(EngineFacts("1", (1, 41), shared_namespaces=possible))
    wanted = {"ecs.capability.task-eni", "ecs.capability.pid-ipc-namespace-sharing"}
    assert wanted & set(found) == (wanted if possible else set())


TASK_LIMITS = {"ecs.capability.task-cpu-mem-limit", "ecs.capability.increased-task-cpu-limit"}


@pytest.mark.parametrize(
    ("api_version", "task_limits", "expected"),
    [((1, 22), True, TASK_LIMITS), ((1, 21), True, set()), ((1, 41), False, set())],
)
def test_limits_of_tasks_are_advertised_where_they_are_in_force(
    api_version: tuple[int, int], task_limits: bool, expected: set[str]
) -> None:
    found = attributes(EngineFacts("1", api_version, task_limits=task_limits))
    assert found.keys() & TASK_LIMITS == expected


def test_roles_of_tasks_are_offered_where_containers_reach_the_agent() -> None:
    roles = {
        "com.amazonaws.ecs.capability.task-iam-role",
        "com.amazonaws.ecs.capability.task-iam-role-network-host",
    }
    assert not roles & attributes(EngineFacts("20", (1, 41))).keys()
    assert roles <= attributes(EngineFacts("20", (1, 41), task_roles=True)).keys()


def test_the_place_and_kind_of_the_machine_are_values() -> None:
    found = attributes(HOMEPORT_AVAILABILITY_ZONE="cellar", HOMEPORT_INSTANCE_TYPE="nuc")
    assert {name: value for name, value in found.items() if value is not None} == {
        "ecs.availability-zone": "cellar",
        "ecs.instance-type": "nuc",
        "ecs.os-type": "linux",
        "ecs.os-family": "LINUX",
        "ecs.os-type-detailed": "LINUX",
        "ecs.cpu-architecture": "x86_64",
    }
    assert attributes(AWS_DEFAULT_REGION="eu-west-1")["ecs.availability-zone"] == "eu-west-1a"


def test_security_modules_are_advertised_where_the_engine_has_them() -> None:
    engine = EngineFacts("20", (1, 41), security_options=("name=apparmor", "name=seccomp,profile=default"))
    assert "com.amazonaws.ecs.capability.apparmor" in attributes(engine)
    assert "com.amazonaws.ecs.capability.selinux" not in attributes(engine)


def test_what_is_disabled_is_not_advertised() -> None:
    found = attributes(ECS_DISABLE_PRIVILEGED="true", ECS_DISABLE_DOCKER_HEALTH_CHECK="true")
    assert "com.amazonaws.ecs.capability.privileged-container" not in found
    assert "ecs.capability.container-health-check" not in found


def test_log_drivers_are_the_engines_own_unless_they_are_set() -> None:
    assert logging_drivers(load([], KEYS), DOCKER) == ("json-file", "none", "syslog")
    chosen = load([], KEYS | {"ECS_AVAILABLE_LOGGING_DRIVERS": '["awslogs"]'})
    assert logging_drivers(chosen, DOCKER) == ("awslogs",)


def test_facts_come_from_the_engines_own_answers_complete_or_not() -> None:
    info = {"Plugins": {"Log": ["json-file"], "Volume": ["local"], "Network": ["bridge"]}}
    version = {"Version": "24.0.7", "ApiVersion": "1.43"}
    assert engine_facts(info, version) == EngineFacts("24.0.7", (1, 43), ("json-file",), ("local",))
    assert engine_facts({"Plugins": None}, {}) == EngineFacts()
    assert engine_facts({}, {}, task_limits=True) == EngineFacts(task_limits=True)


@pytest.mark.parametrize(
    ("task_roles", "setting", "expected"),
    [(True, "true", True), (True, "false", False), (False, "true", False)],
)
def test_logs_as_the_execution_role_are_offered_where_they_are_wanted_and_possible(
    task_roles: bool, setting: str, expected: bool
) -> None:
    engine = EngineFacts("1", (1, 41), task_roles=task_roles)
    found = attributes(engine, ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=setting)
    assert ("ecs.capability.execution-role-awslogs" in found) == expected
