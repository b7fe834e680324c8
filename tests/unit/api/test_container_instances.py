"""Container instances after their registration, and what agents ask about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from controller.api.errors import (
    AccessDeniedException,
    ClientException,
    InvalidParameterException,
    MissingVersionException,
    NoUpdateAvailableException,
)
from controller.state.entities import ContainerInstance, InstanceConnection, Task
from controller.state.lifecycle import last_status
from tests.unit.api.conftest import Api, agent_of

ID = "1" * 32
OTHER_ID = "2" * 32
ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default"


@pytest.fixture
def instance(api: Api) -> ContainerInstance:
    registered = ContainerInstance(
        cluster="default",
        id=ID,
        ec2_instance_id="mi-1",
        cpu=4096,
        memory=8000,
        reserved_ports_tcp=(22,),
        gpu_ids=("g1", "g2"),
        registered_at=1.0,
    )
    api.put(registered)
    return registered


def on_instance(id_: str, **changes: Any) -> Task:
    values = {"cpu": 512, "memory": 1000, "reported_status": "RUNNING"}
    return Task(
        cluster="default",
        id=id_,
        family="web",
        revision=1,
        created_at=1.0,
        instance=ID,
        **{**values, **changes},
    )


def strings(instance: dict[str, Any], name: str) -> Any:
    found = next(item for item in instance["remainingResources"] if item["name"] == name)
    return found.get("stringSetValue", found["integerValue"])


async def describe(api: Api, *ids: str, **members: Any) -> dict[str, Any]:
    return await api.call("DescribeContainerInstances", containerInstances=list(ids), **members)


async def test_remaining_resources_are_registered_ones_less_what_tasks_hold(
    api: Api, instance: ContainerInstance
) -> None:
    api.put(
        on_instance("a" * 32, ports_tcp=(8080,), ports_udp=(53,), gpu_ids=("g1",)),
        on_instance("b" * 32, reported_status="PENDING"),
        on_instance("c" * 32, desired_status="STOPPED"),
        on_instance("d" * 32, reported_status="STOPPED", desired_status="STOPPED", ports_tcp=(9090,)),
    )
    shown = (await describe(api, ID))["containerInstances"][0]
    assert strings(shown, "CPU") == 4096 - 3 * 512
    assert strings(shown, "MEMORY") == 8000 - 3 * 1000
    assert strings(shown, "PORTS") == ["22", "8080"]
    assert strings(shown, "PORTS_UDP") == ["53"]
    assert strings(shown, "GPU") == ["g2"]
    assert (shown["runningTasksCount"], shown["pendingTasksCount"]) == (1, 1)


async def test_instances_are_found_by_id_and_arn_and_the_missing_are_failures(
    api: Api, instance: ContainerInstance
) -> None:
    answer = await describe(api, ID, f"{ARN}/{ID}", OTHER_ID)
    assert [found["containerInstanceArn"] for found in answer["containerInstances"]] == [f"{ARN}/{ID}"]
    assert answer["failures"] == [{"arn": f"{ARN}/{OTHER_ID}", "reason": "MISSING"}]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ClientException, "Container Instances cannot be empty."),
        ([ID] * 101, InvalidParameterException, "cannot exceed 100"),
        (["short"], InvalidParameterException, "length should be one of"),
        ([f"{ARN}/{ID}".replace("/default/", "/edge/")], InvalidParameterException, "Identifier is for edge"),
        (["arn:nonsense"], InvalidParameterException, "The ARN provided is invalid."),
    ],
)
async def test_bad_names_of_instances_are_refused(
    api: Api, values: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await describe(api, *values)


@pytest.mark.parametrize(
    ("connected", "status"), [(None, "INSUFFICIENT_DATA"), (True, "OK"), (False, "IMPAIRED")]
)
async def test_health_and_agent_connected_follow_the_connection(
    api: Api, instance: ContainerInstance, connected: bool | None, status: str
) -> None:
    if connected is not None:
        api.put(InstanceConnection(cluster="default", id=ID, connected=connected, changed_at=5.0))
    shown = (await describe(api, ID, include=["CONTAINER_INSTANCE_HEALTH"]))["containerInstances"][0]
    assert shown["agentConnected"] is bool(connected)
    assert shown["healthStatus"]["overallStatus"] == status


async def health(api: Api, **connection: Any) -> dict[str, Any]:
    api.put(InstanceConnection(cluster="default", id=ID, changed_at=5.0, **connection))
    answer = await describe(api, ID, include=["CONTAINER_INSTANCE_HEALTH"])
    status: dict[str, Any] = answer["containerInstances"][0]["healthStatus"]
    return status


async def test_health_tells_of_the_agent_and_of_the_container_runtime(
    api: Api, instance: ContainerInstance
) -> None:
    runtime = {"runtime_status": "IMPAIRED", "runtime_changed_at": 7.0}
    assert await health(api, connected=True, **runtime) == {
        "overallStatus": "IMPAIRED",
        "details": [
            {"type": "AGENT_CONNECTIVITY", "status": "OK", "lastUpdated": 5.0, "lastStatusChange": 5.0},
            {
                "type": "CONTAINER_RUNTIME",
                "status": "IMPAIRED",
                "statusReason": "The container runtime does not answer.",
                "lastUpdated": 7.0,
                "lastStatusChange": 7.0,
            },
        ],
    }


@pytest.mark.parametrize(
    ("connected", "runtime", "overall"),
    [
        (True, "", "OK"),
        (True, "OK", "OK"),
        (True, "INITIALIZING", "INITIALIZING"),
        (True, "never heard of", "INSUFFICIENT_DATA"),
        (False, "OK", "IMPAIRED"),
    ],
)
async def test_an_instance_is_as_healthy_as_its_worst_part(
    api: Api, instance: ContainerInstance, connected: bool, runtime: str, overall: str
) -> None:
    assert (await health(api, connected=connected, runtime_status=runtime))["overallStatus"] == overall


@pytest.mark.parametrize(
    ("disk", "health_of_it", "said"),
    [
        ({"disk_status": "OK"}, "OK", None),
        ({"disk_status": "WARNING", "disk_reason": "disk 78 % full on /data"}, "OK", None),
        (
            {"disk_status": "FULL", "disk_reason": "disk 91 % full on /data"},
            "IMPAIRED",
            "No tasks are placed here: disk 91 % full on /data.",
        ),
    ],
)
async def test_a_disk_that_fills_up_is_told_with_the_container_runtime(
    api: Api, instance: ContainerInstance, disk: dict[str, Any], health_of_it: str, said: str | None
) -> None:
    status = await health(api, connected=True, runtime_status="OK", disk_changed_at=9.0, **disk)
    detail = status["details"][1]
    assert (detail["type"], detail["status"]) == ("CONTAINER_RUNTIME", health_of_it)
    assert detail.get("statusReason", "") == disk.get("disk_reason", "").replace("disk", "Disk") + (
        "." if "disk_reason" in disk else ""
    )
    assert (await describe(api, ID))["containerInstances"][0].get("statusReason") == said


async def test_an_instance_shows_the_capacity_provider_that_its_attribute_names(
    api: Api, instance: ContainerInstance
) -> None:
    assert "capacityProviderName" not in (await describe(api, ID))["containerInstances"][0]
    attribute = {"name": "homeport.capacity-provider", "value": "pool", "targetId": f"{ARN}/{ID}"}
    await api.call("PutAttributes", attributes=[attribute])
    assert (await describe(api, ID))["containerInstances"][0]["capacityProviderName"] == "pool"


async def test_gpus_are_shown_with_who_has_them(api: Api, instance: ContainerInstance) -> None:
    api.put(on_instance("a" * 32, gpu_ids=("g1",)))
    assert (await describe(api, ID))["containerInstances"][0]["gpuDevices"] == [
        {"gpuId": "g1", "sharingMode": "DEDICATED", "containerCount": 1},
        {"gpuId": "g2", "sharingMode": "IDLE", "containerCount": 0},
    ]


async def test_an_agent_of_no_known_version_cannot_be_updated(api: Api, instance: ContainerInstance) -> None:
    with pytest.raises(MissingVersionException, match="is not known"):
        await api.call("UpdateContainerAgent", containerInstance=ID)


async def test_there_is_never_a_newer_agent_to_be_had(api: Api, instance: ContainerInstance) -> None:
    api.put(msgspec.structs.replace(instance, agent_version="1.2.3"))
    with pytest.raises(NoUpdateAvailableException, match=r"no update available .* 1\.2\.3"):
        await api.call("UpdateContainerAgent", containerInstance=f"{ARN}/{ID}")


async def test_an_agent_that_is_not_there_cannot_be_updated(api: Api, instance: ContainerInstance) -> None:
    await api.call("DeregisterContainerInstance", containerInstance=ID)
    for id_ in (ID, OTHER_ID):
        with pytest.raises(InvalidParameterException, match="was not found"):
            await api.call("UpdateContainerAgent", containerInstance=id_)


async def test_inactive_instances_are_described_but_not_listed(api: Api, instance: ContainerInstance) -> None:
    await api.call("DeregisterContainerInstance", containerInstance=ID)
    assert (await describe(api, ID))["containerInstances"][0]["status"] == "INACTIVE"
    assert (await api.call("ListContainerInstances"))["containerInstanceArns"] == []


async def test_instances_are_listed_by_status(api: Api, instance: ContainerInstance) -> None:
    await api.call("UpdateContainerInstancesState", containerInstances=[ID], status="DRAINING")
    listed = await api.call("ListContainerInstances", status="DRAINING")
    assert listed["containerInstanceArns"] == [f"{ARN}/{ID}"]
    assert (await api.call("ListContainerInstances", status="ACTIVE"))["containerInstanceArns"] == []


async def test_instances_are_listed_by_the_query_language(api: Api, instance: ContainerInstance) -> None:
    listed = await api.call("ListContainerInstances", filter="runningTasksCount == 0")
    assert listed["containerInstanceArns"] == [f"{ARN}/{ID}"]
    none = await api.call("ListContainerInstances", filter="attribute:rack == 7")
    assert none["containerInstanceArns"] == []


async def test_a_filter_that_cannot_be_read_is_refused(api: Api) -> None:
    with pytest.raises(InvalidParameterException, match="Invalid filter"):
        await api.call("ListContainerInstances", filter="attribute:x ==")


async def test_draining_and_back_raise_the_version_each_time(api: Api, instance: ContainerInstance) -> None:
    versions = []
    for status in ("DRAINING", "DRAINING", "ACTIVE"):
        answer = await api.call("UpdateContainerInstancesState", containerInstances=[ID], status=status)
        assert answer["containerInstances"][0]["status"] == status
        versions.append(answer["containerInstances"][0]["version"])
    assert versions == [2, 2, 3]


async def test_only_active_and_draining_can_be_asked_for(api: Api, instance: ContainerInstance) -> None:
    with pytest.raises(InvalidParameterException, match=r"one of \[ACTIVE, DRAINING\]"):
        await api.call("UpdateContainerInstancesState", containerInstances=[ID], status="REGISTERING")


async def test_a_deregistered_instance_cannot_be_drained(api: Api, instance: ContainerInstance) -> None:
    await api.call("DeregisterContainerInstance", containerInstance=ID)
    answer = await api.call("UpdateContainerInstancesState", containerInstances=[ID], status="ACTIVE")
    assert answer["containerInstances"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["INACTIVE"]


async def test_an_agent_drains_one_machine_at_a_time(api: Api, instance: ContainerInstance) -> None:
    agent = agent_of("default")
    await api.call("UpdateContainerInstancesState", agent, containerInstances=[ID], status="DRAINING")
    with pytest.raises(AccessDeniedException):
        await api.call(
            "UpdateContainerInstancesState", agent, containerInstances=[ID, OTHER_ID], status="DRAINING"
        )


async def test_an_instance_with_tasks_is_not_deregistered_without_force(
    api: Api, instance: ContainerInstance
) -> None:
    api.put(on_instance("a" * 32))
    with pytest.raises(InvalidParameterException, match=r"Found running tasks on the instance\."):
        await api.call("DeregisterContainerInstance", containerInstance=ID)
    assert (await describe(api, ID))["containerInstances"][0]["status"] == "ACTIVE"


async def test_forced_deregistration_stops_every_task_in_the_books(
    api: Api, instance: ContainerInstance
) -> None:
    tasks = {
        "running": on_instance("a" * 32),
        "stopping": on_instance("b" * 32, desired_status="STOPPED", stop_code="UserInitiated"),
        "given up": on_instance("c" * 32, desired_status="STOPPED", disposition="GIVEN_UP", stopped_at=2.0),
        "unknown": on_instance("d" * 32, disposition="UNKNOWN"),
    }
    api.put(*tasks.values())
    answer = await api.call("DeregisterContainerInstance", containerInstance=ID, force=True)
    assert answer["containerInstance"]["status"] == "INACTIVE"
    assert strings(answer["containerInstance"], "CPU") == 4096
    read = api.state.read()
    for task in tasks.values():
        after = read.get(Task, task.key)
        assert after is not None
        assert (last_status(after), after.desired_status, after.disposition) == (
            "STOPPED",
            "STOPPED",
            "FORCED",
        )
        assert after.stopped_at is not None
    running = read.get(Task, tasks["running"].key)
    assert running is not None
    assert running.stopped_reason == "Container instance deregistration forced by user"


async def test_deregistering_an_unknown_instance_is_an_error(api: Api) -> None:
    with pytest.raises(InvalidParameterException, match="was not found"):
        await api.call("DeregisterContainerInstance", containerInstance=OTHER_ID)


async def test_agents_are_told_to_connect_where_they_reached_us(
    api: Api, instance: ContainerInstance
) -> None:
    answer = await api.call(
        "DiscoverPollEndpoint",
        agent_of("default"),
        cluster="default",
        containerInstance=f"{ARN}/{ID}",
        zoneId="",
    )
    assert answer == {
        "endpoint": "http://controller.test:8480/acs/",
        "telemetryEndpoint": "http://controller.test:8480/tcs/",
    }
    assert api.signs_of_life == [("default", ID)]


async def test_agents_are_told_the_public_url_where_there_is_one(api: Api) -> None:
    api.config = replace(api.config, public_url="https://ecs.example/")
    answer = await api.call("DiscoverPollEndpoint", cluster="default")
    assert answer["endpoint"] == "https://ecs.example/acs/"


async def test_an_unknown_cluster_is_an_error_that_discovering_may_give(api: Api) -> None:
    with pytest.raises(ClientException, match=r"Cluster not found\."):
        await api.call("DiscoverPollEndpoint", cluster="nope")


async def test_tags_of_an_instance_are_listed_by_its_arn(api: Api, instance: ContainerInstance) -> None:
    assert await api.call("ListTagsForResource", resourceArn=f"{ARN}/{ID}") == {"tags": []}
