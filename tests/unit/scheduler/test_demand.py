"""What a task demands."""

from __future__ import annotations

from typing import Any

import pytest

from controller.scheduler.demand import demand_of
from controller.scheduler.tasks import new_task, placed
from controller.state.entities import Attribute, TaskDefinition


def _definition(*containers: dict[str, Any], **members: Any) -> TaskDefinition:
    named = [{"name": f"c{number}", **container} for number, container in enumerate(containers)]
    return TaskDefinition(
        family="web",
        revision=3,
        document={"containerDefinitions": named, **members},
        requires_attributes=("com.amazonaws.ecs.capability.docker-remote-api.1.18",),
        registered_at=0.0,
    )


def test_containers_add_up_and_a_reservation_stands_for_its_limit() -> None:
    demand = demand_of(
        _definition({"cpu": 100, "memory": 300}, {"memory": 500, "memoryReservation": 200}), None
    )
    assert (demand.cpu, demand.memory) == (100, 500)
    assert demand.required_attributes == ("com.amazonaws.ecs.capability.docker-remote-api.1.18",)


def test_sizes_of_the_task_replace_the_sums_of_its_containers() -> None:
    demand = demand_of(_definition({"cpu": 100, "memory": 300}, cpu="256", memory="512"), None)
    assert (demand.cpu, demand.memory) == (256, 512)


def test_overrides_replace_what_the_definition_says() -> None:
    definition = _definition({"cpu": 100, "memory": 300}, {"cpu": 10, "memory": 30})
    by_container = {"containerOverrides": [{"name": "c0", "cpu": 7, "memory": 50, "command": ["x"]}]}
    demand = demand_of(definition, by_container)
    assert (demand.cpu, demand.memory) == (17, 80)
    demand = demand_of(definition, {"cpu": "512", "memory": "1024"})
    assert (demand.cpu, demand.memory) == (512, 1024)


@pytest.mark.parametrize(
    ("mode", "tcp", "udp"),
    [
        ("bridge", (8080,), (53,)),
        ("host", (80, 9000), (53,)),
        ("awsvpc", (), ()),
        ("none", (), ()),
        (None, (8080,), (53,)),
    ],
)
def test_fixed_host_ports_depend_on_the_network_mode(mode: str | None, tcp: object, udp: object) -> None:
    mappings = [
        {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
        {"containerPort": 9000},
        {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
    ]
    demand = demand_of(_definition({"memory": 10, "portMappings": mappings}, networkMode=mode), None)
    assert (demand.ports_tcp, demand.ports_udp) == (tcp, udp)


def test_a_range_is_fixed_on_the_hosts_network_alone() -> None:
    mappings = [{"containerPortRange": "7000-7002", "protocol": "udp"}]
    ports = {
        mode: demand_of(
            _definition({"memory": 10, "portMappings": mappings}, networkMode=mode), None
        ).ports_udp
        for mode in ("host", "bridge")
    }
    assert ports == {"host": (7000, 7001, 7002), "bridge": ()}


def test_gpus_are_counted_and_all_means_every_one() -> None:
    two = {"memory": 10, "resourceRequirements": [{"type": "GPU", "value": "2"}]}
    every = {"memory": 10, "resourceRequirements": [{"type": "GPU", "value": "ALL"}]}
    assert demand_of(_definition(two, two), None).gpus == 4
    assert demand_of(_definition(every), None).all_gpus


def test_the_runtime_platform_becomes_attributes_not_to_contradict() -> None:
    platform = {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}
    demand = demand_of(_definition({"memory": 10}, runtimePlatform=platform), None)
    assert demand.platform == (Attribute("ecs.cpu-architecture", "arm64"), Attribute("ecs.os-type", "linux"))


def test_a_new_task_has_a_container_for_each_of_its_definition_and_holds_nothing_before_it_is_placed() -> (
    None
):
    definition = _definition({"cpu": 100, "memory": 300}, {"memory": 5})
    task = new_task(
        definition,
        cluster="default",
        task_id="t1",
        container_ids=["u0", "u1"],
        group="family:web",
        started_by="me",
        launch_type="EC2",
        service=None,
        deployment=None,
        overrides={"cpu": "1"},
        options={"platformVersion": "LATEST"},
        log_mode="",
        tags=(),
        now=5.0,
        epoch=7,
    )
    assert [(container.name, container.id) for container in task.containers] == [("c0", "u0"), ("c1", "u1")]
    assert (task.instance, task.cpu, task.memory, task.created_epoch) == (None, 0, 0, 7)
    assert task.options == {"platformVersion": "LATEST", "overrides": {"cpu": "1"}}
    there = placed(task, "i1", demand_of(definition, None), ("gpu-0",))
    assert (there.instance, there.cpu, there.memory, there.gpu_ids) == ("i1", 100, 305, ("gpu-0",))
