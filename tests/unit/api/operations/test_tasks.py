"""Task operations."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import (
    ApiError,
    ClientException,
    ClusterNotFoundException,
    ConflictException,
    InvalidParameterException,
    PlatformTaskDefinitionIncompatibilityException,
    PlatformUnknownException,
    ServiceNotFoundException,
    UnsupportedFeatureException,
)
from controller.state.changes import Cause
from controller.state.entities import (
    Attribute,
    ContainerInstance,
    InstanceConnection,
    NetworkBinding,
    RunTaskToken,
    TaskDefinition,
)
from controller.state.lifecycle import ContainerReport

AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


async def run(api: Any, **request: Any) -> dict[str, Any]:
    """One task of `web`, changed as asked."""
    answer: dict[str, Any] = await api("RunTask", **{"taskDefinition": "web", **request})
    return answer


async def started(api: Any, **request: Any) -> dict[str, Any]:
    """The one task that a request starts."""
    answer = await run(api, **request)
    assert answer["failures"] == []
    (task,) = answer["tasks"]
    assert isinstance(task, dict)
    return task


async def test_a_task_is_placed_at_once_and_tells_everything_about_itself(api: Any, register: Any) -> None:
    instance = api.join()
    definition = await register()
    task = await started(api, startedBy="me", tags=[{"key": "a", "value": "b"}])
    assert task["taskDefinitionArn"] == definition
    assert task["containerInstanceArn"].endswith(instance.id)
    assert (task["lastStatus"], task["desiredStatus"]) == ("PENDING", "RUNNING")
    assert (task["group"], task["startedBy"], task["launchType"]) == ("family:web", "me", "EC2")
    assert (task["cpu"], task["memory"], task["version"]) == ("128", "64", 1)
    assert (task["connectivity"], task["healthStatus"]) == ("CONNECTED", "UNKNOWN")
    assert task["attributes"] == [{"name": "ecs.cpu-architecture", "value": "x86_64"}]
    assert task["availabilityZone"] == "z1"
    assert task["tags"] == [{"key": "a", "value": "b"}]
    assert task["overrides"] == {
        "containerOverrides": [{"name": "web"}],
        "inferenceAcceleratorOverrides": [],
    }
    (container,) = task["containers"]
    assert container["name"] == "web"
    assert (container["image"], container["cpu"], container["memory"]) == ("web:1", "128", "64")
    assert (container["lastStatus"], container["networkBindings"]) == ("PENDING", [])
    assert "startedAt" not in task
    assert "stopCode" not in task


async def test_a_reported_task_shows_what_the_agent_said(api: Any, register: Any) -> None:
    api.join()
    await register()
    arn = (await started(api))["taskArn"]
    binding = NetworkBinding(bind_ip="0.0.0.0", container_port=80, host_port=32768)
    report = ContainerReport(
        name="web", status="RUNNING", runtime_id="abc", image_digest="sha256:1", network_bindings=(binding,)
    )
    api.report(arn, "RUNNING", report)
    (task,) = (await api("DescribeTasks", tasks=[arn]))["tasks"]
    (container,) = task["containers"]
    assert task["lastStatus"] == "RUNNING"
    assert task["startedAt"] == api.clock.now()
    assert container["networkBindings"] == [
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
    ]
    assert (container["runtimeId"], container["imageDigest"]) == ("abc", "sha256:1")

    api.report(arn, "STOPPED", ContainerReport(name="web", status="STOPPED", exit_code=3, reason="boom"))
    (task,) = (await api("DescribeTasks", tasks=[arn]))["tasks"]
    assert (task["lastStatus"], task["desiredStatus"]) == ("STOPPED", "STOPPED")
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert (task["containers"][0]["exitCode"], task["containers"][0]["reason"]) == (3, "boom")


async def test_as_many_tasks_as_have_room_are_started_and_the_rest_is_explained(
    api: Any, register: Any
) -> None:
    instance = api.join(memory=150)
    await register()
    answer = await run(api, count=3)
    assert len(answer["tasks"]) == 2
    (failure,) = answer["failures"]
    assert failure["arn"].endswith(instance.id)
    assert failure["reason"] == "RESOURCE:MEMORY"
    assert "64" in failure["detail"]


async def test_each_started_task_has_ids_of_its_own(api: Any, register: Any) -> None:
    api.join()
    await register()
    tasks = (await run(api, count=5))["tasks"]
    assert len({task["taskArn"] for task in tasks}) == 5
    assert len({task["containers"][0]["containerArn"] for task in tasks}) == 5


async def test_a_cluster_without_instances_is_an_error(api: Any, register: Any) -> None:
    await register()
    with pytest.raises(InvalidParameterException, match="No Container Instances were found in your cluster"):
        await run(api)


async def test_awsvpc_fails_where_no_agent_can_do_it(api: Any, register: Any) -> None:
    api.join()
    await register(networkMode="awsvpc")
    answer = await run(api, networkConfiguration=AWSVPC)
    assert answer["tasks"] == []
    assert answer["failures"][0]["reason"] == "ATTRIBUTE"
    assert "ecs.capability.task-eni" in answer["failures"][0]["detail"]


REFUSED: dict[str, tuple[dict[str, Any], type[ApiError], str]] = {
    "count 0": ({"count": 0}, InvalidParameterException, "count should be between 1 and 10"),
    "count 11": ({"count": 11}, InvalidParameterException, "count should be between 1 and 10"),
    "unknown cluster": ({"cluster": "nope"}, ClusterNotFoundException, "Cluster not found."),
    "unknown definition": ({"taskDefinition": "nope"}, ClientException, "TaskDefinition not found."),
    "inactive definition": ({"taskDefinition": "old:1"}, ClientException, "TaskDefinition is inactive"),
    "launch type and strategy": (
        {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "a"}]},
        InvalidParameterException,
        "Specify either Launch Type or Capacity Provider Strategy, but not both.",
    ),
    "strategy": (
        {"capacityProviderStrategy": [{"capacityProvider": "a"}]},
        InvalidParameterException,
        "not associated with the cluster",
    ),
    "managed instances": (
        {"launchType": "MANAGED_INSTANCES"},
        InvalidParameterException,
        "MANAGED_INSTANCES",
    ),
    "fargate": (
        {"launchType": "FARGATE"},
        InvalidParameterException,
        "Task definition does not support launch_type FARGATE.",
    ),
    "platform version": (
        {"platformVersion": "LATEST"},
        InvalidParameterException,
        "The platform version must be null when specifying an EC2 launch type.",
    ),
    "fargate platform": (
        {
            "taskDefinition": "fargate",
            "launchType": "FARGATE",
            "platformVersion": "9",
            "networkConfiguration": AWSVPC,
        },
        PlatformUnknownException,
        "platform version does not exist",
    ),
    "fargate strategy": (
        {
            "taskDefinition": "fargate",
            "launchType": "FARGATE",
            "placementStrategy": [{"type": "random"}],
            "networkConfiguration": AWSVPC,
        },
        InvalidParameterException,
        "Placement strategies are not supported with FARGATE launch type.",
    ),
    "network out of place": (
        {"networkConfiguration": AWSVPC},
        InvalidParameterException,
        "Network Configuration is not valid for the given networkMode of this task definition.",
    ),
    "network missing": (
        {"taskDefinition": "fargate"},
        InvalidParameterException,
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    ),
    "no subnets": (
        {"taskDefinition": "fargate", "networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}},
        InvalidParameterException,
        "subnets can not be empty.",
    ),
    "group of a service": ({"group": "service:web"}, InvalidParameterException, "'service:' is reserved"),
    "group of another family": ({"group": "family:api"}, InvalidParameterException, "use family:web"),
    "long group": ({"group": "g" * 256}, InvalidParameterException, "at most 255"),
    "odd startedBy": ({"startedBy": "a b"}, InvalidParameterException, "startedBy"),
    "startedBy of a deployment": ({"startedBy": "ecs-svc/1"}, InvalidParameterException, "'ecs-svc/'"),
    "tags from a service": ({"propagateTags": "SERVICE"}, InvalidParameterException, "propagateTags"),
    "unknown container": (
        {"overrides": {"containerOverrides": [{"name": "db"}]}},
        InvalidParameterException,
        "Override for container named db is not a container in the TaskDefinition.",
    ),
    "container twice": (
        {"overrides": {"containerOverrides": [{"name": "web"}, {"name": "web"}]}},
        InvalidParameterException,
        "overridden 2 times",
    ),
    "long overrides": (
        {"overrides": {"containerOverrides": [{"name": "web", "command": ["x" * 8192]}]}},
        InvalidParameterException,
        "at most 8192 characters",
    ),
    "override beyond the task": (
        {"overrides": {"memory": "128", "containerOverrides": [{"name": "web", "memory": 256}]}},
        ClientException,
        "exceed the task's 128 MiB",
    ),
    "negative override": (
        {"overrides": {"containerOverrides": [{"name": "web", "cpu": -1}]}},
        ClientException,
        "Invalid 'cpu' setting",
    ),
    "override without sense": (
        {"overrides": {"cpu": "lots"}},
        ClientException,
        "Invalid 'cpu' setting for task",
    ),
    "nameless variable": (
        {"overrides": {"containerOverrides": [{"name": "web", "environment": [{"value": "1"}]}]}},
        InvalidParameterException,
        "environment variable without a name",
    ),
    "volumes": ({"volumeConfigurations": []}, UnsupportedFeatureException, "volumeConfigurations"),
    "six strategies": (
        {"placementStrategy": [{"type": "random"}] * 6},
        InvalidParameterException,
        "limited to 5",
    ),
    "strategy field": (
        {"placementStrategy": [{"type": "binpack", "field": "disk"}]},
        InvalidParameterException,
        "cpu or memory",
    ),
    "constraint": (
        {"placementConstraints": [{"type": "memberOf", "expression": "nonsense"}]},
        InvalidParameterException,
        "Invalid placement constraint expression",
    ),
    "eleven constraints": (
        {"placementConstraints": [{"type": "distinctInstance"}] * 11},
        InvalidParameterException,
        "limited to 10",
    ),
    "long token": ({"clientToken": "t" * 65}, InvalidParameterException, "clientToken"),
    "odd token": ({"clientToken": "a b"}, InvalidParameterException, "clientToken"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_request_is_refused_and_starts_nothing(api: Any, register: Any, case: str) -> None:
    api.join()
    await register("web")
    await register("fargate", networkMode="awsvpc", cpu="256", memory="512")
    await register("old")
    await api("DeregisterTaskDefinition", taskDefinition="old:1")
    request, error, message = REFUSED[case]
    with pytest.raises(error) as raised:
        await run(api, **request)
    assert message in raised.value.message
    assert (await api("ListTasks"))["taskArns"] == []


async def test_overrides_are_reserved_and_shown(api: Any, register: Any) -> None:
    api.join()
    await register()
    task = await started(
        api,
        overrides={
            "cpu": "1 vCPU",
            "containerOverrides": [{"name": "web", "memory": 256, "command": ["sleep", "1"]}],
        },
    )
    assert (task["cpu"], task["memory"]) == ("1024", "256")
    assert task["overrides"]["cpu"] == "1024"
    assert task["overrides"]["containerOverrides"] == [
        {"name": "web", "memory": 256, "command": ["sleep", "1"]}
    ]
    assert task["containers"][0]["memory"] == "256"
    record = api.task(task["taskArn"])
    assert (record.cpu, record.memory) == (1024, 256)


async def test_tags_are_propagated_and_managed_when_asked_for(api: Any, register: Any) -> None:
    api.join()
    await register(tags=[{"key": "team", "value": "a"}, {"key": "cost", "value": "1"}])
    task = await started(
        api,
        propagateTags="TASK_DEFINITION",
        enableECSManagedTags=True,
        tags=[{"key": "team", "value": "b"}],
    )
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {
        "team": "b",
        "cost": "1",
        "aws:ecs:clusterName": "default",
    }
    assert (await started(api))["tags"] == []


async def test_a_client_token_answers_with_the_first_tasks(api: Any, register: Any) -> None:
    api.join()
    await register()
    first = await run(api, clientToken="t", count=2)
    second = await run(api, clientToken="t", count=2)
    assert [task["taskArn"] for task in second["tasks"]] == [task["taskArn"] for task in first["tasks"]]
    assert len((await api("ListTasks"))["taskArns"]) == 2


async def test_a_client_token_for_another_request_is_a_conflict(api: Any, register: Any) -> None:
    api.join()
    await register()
    first = await run(api, clientToken="t")
    with pytest.raises(ConflictException) as raised:
        await run(api, clientToken="t", count=2)
    assert raised.value.extra == {"resourceIds": [first["tasks"][0]["taskArn"]]}


async def test_a_call_that_started_nothing_may_be_tried_again_under_its_token(
    api: Any, register: Any
) -> None:
    api.join(memory=10)
    await register()
    assert (await run(api, clientToken="t"))["tasks"] == []
    assert api.read.all(RunTaskToken) == {}
    api.join(2)
    assert len((await run(api, clientToken="t"))["tasks"]) == 1


async def test_stopping_a_task_decides_once(api: Any, register: Any) -> None:
    api.join()
    await register()
    arn = (await started(api))["taskArn"]
    stopped = (await api("StopTask", task=arn, reason="done"))["task"]
    assert (stopped["desiredStatus"], stopped["lastStatus"]) == ("STOPPED", "PENDING")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "done")
    api.clock.advance(5)
    assert (await api("StopTask", task=arn.rpartition("/")[2], reason="again"))["task"] == stopped


async def test_a_stop_without_a_reason_gets_ecs_one(api: Any, register: Any) -> None:
    api.join()
    await register()
    arn = (await started(api))["taskArn"]
    assert (await api("StopTask", task=arn))["task"]["stoppedReason"] == "Task stopped by user"


async def test_an_unknown_task_cannot_be_stopped(api: Any) -> None:
    with pytest.raises(InvalidParameterException, match=r"The referenced task was not found\."):
        await api("StopTask", task="0" * 32)


async def test_tasks_are_described_in_the_asked_order_once_each(api: Any, register: Any) -> None:
    api.join()
    await register()
    arns = [task["taskArn"] for task in (await run(api, count=3))["tasks"]]
    unknown = arns[0].rpartition("/")[0] + "/" + "0" * 32
    asked = [arns[2], unknown, arns[0].rpartition("/")[2], arns[2]]
    answer = await api("DescribeTasks", tasks=asked)
    assert [task["taskArn"] for task in answer["tasks"]] == [arns[2], arns[0]]
    assert answer["failures"] == [{"arn": unknown, "reason": "MISSING"}]


async def test_tags_of_tasks_are_described_only_when_asked_for(api: Any, register: Any) -> None:
    api.join()
    await register()
    arn = (await started(api, tags=[{"key": "a", "value": "b"}]))["taskArn"]
    assert (await api("DescribeTasks", tasks=[arn]))["tasks"][0]["tags"] == []
    (task,) = (await api("DescribeTasks", tasks=[arn], include=["TAGS"]))["tasks"]
    assert task["tags"] == [{"key": "a", "value": "b"}]


@pytest.mark.parametrize("number", [0, 101])
async def test_between_one_and_a_hundred_tasks_are_described(api: Any, number: int) -> None:
    with pytest.raises(InvalidParameterException, match=r"Tasks cannot"):
        await api("DescribeTasks", tasks=["0" * 32] * number)


async def test_a_retired_task_stays_describable_and_stoppable(api: Any, register: Any) -> None:
    api.join()
    await register()
    arn = (await started(api, clientToken="t"))["taskArn"]
    api.report(arn, "STOPPED", reason="gone")
    before = (await api("DescribeTasks", tasks=[arn]))["tasks"]
    with api.state.transaction(Cause(kind="timer", id="retire")) as transaction:
        api.state.history.retire_task(transaction, api.task(arn))
    assert (await api("DescribeTasks", tasks=[arn]))["tasks"] == before
    assert (await api("StopTask", task=arn))["task"]["stoppedReason"] == "gone"
    assert (await run(api, clientToken="t"))["tasks"][0]["taskArn"] == arn


async def test_tasks_are_listed_by_every_filter(api: Any, register: Any) -> None:
    first, _ = api.join(1, memory=100), api.join(2, memory=100)
    await register("web")
    await register("api")
    web = (await started(api, startedBy="me"))["taskArn"]
    other = (await started(api, taskDefinition="api"))["taskArn"]

    async def listed(**request: Any) -> set[str]:
        return set((await api("ListTasks", **request))["taskArns"])

    assert await listed() == {web, other}
    assert await listed(family="api") == {other}
    assert await listed(startedBy="me") == {web}
    assert await listed(startedBy="me", desiredStatus="STOPPED") == set()
    assert await listed(launchType="FARGATE") == set()
    assert await listed(launchType="EC2") == {web, other}
    assert await listed(daemonName="d") == set()
    assert await listed(desiredStatus="PENDING") == set()
    on_first = {arn for arn in (web, other) if api.task(arn).instance == first.id}
    assert await listed(containerInstance=first.id) == on_first

    await api("StopTask", task=web)
    assert await listed() == {other}
    assert await listed(desiredStatus="STOPPED") == {web}
    assert await listed(desiredStatus="STOPPED", containerInstance=api.task(web).instance) == {web}


async def test_started_by_is_the_only_filter_beside_the_status(api: Any) -> None:
    with pytest.raises(InvalidParameterException, match="family"):
        await api("ListTasks", startedBy="me", family="web")


async def test_tasks_of_an_unknown_service_are_an_error(api: Any) -> None:
    with pytest.raises(ServiceNotFoundException):
        await api("ListTasks", serviceName="nope")


async def test_pages_of_tasks_hold_every_task_once(api: Any, register: Any) -> None:
    api.join()
    await register()
    arns = {task["taskArn"] for task in (await run(api, count=5))["tasks"]}
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = await api("ListTasks", maxResults=2, **token)
        seen += answer["taskArns"]
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert len(seen) == 5
    assert set(seen) == arns


async def shown(api: Any, arn: str) -> dict[str, Any]:
    """The task as it is."""
    (task,) = (await api("DescribeTasks", tasks=[arn]))["tasks"]
    assert isinstance(task, dict)
    return task


async def test_a_task_that_waits_for_a_place_shows_what_it_will_ask_for(api: Any, register: Any) -> None:
    api.join()
    await register()
    arn = (await started(api))["taskArn"]
    api.put(replace(api.task(arn), instance=None, cpu=0, memory=0))
    task = await shown(api, arn)
    assert (task["lastStatus"], task["cpu"], task["memory"]) == ("PROVISIONING", "128", "64")
    assert "containerInstanceArn" not in task
    assert "connectivity" not in task


@pytest.mark.parametrize("disposition", ["NEVER_SENT", "GIVEN_UP", "FORCED"])
async def test_a_task_that_counts_as_ended_shows_no_container_alive(
    api: Any, register: Any, disposition: Any
) -> None:
    api.join()
    await register()
    arn = (await started(api))["taskArn"]
    api.report(arn, "RUNNING", ContainerReport(name="web", status="RUNNING"))
    api.put(replace(api.task(arn), disposition=disposition))
    task = await shown(api, arn)
    assert (task["lastStatus"], task["containers"][0]["lastStatus"]) == ("STOPPED", "STOPPED")


async def test_the_health_of_a_task_is_that_of_its_checked_containers(api: Any, register: Any) -> None:
    api.join()
    await register(container={"healthCheck": {"command": ["CMD", "true"]}})
    arn = (await started(api))["taskArn"]
    assert (await shown(api, arn))["healthStatus"] == "UNKNOWN"
    record = api.task(arn)
    api.put(replace(record, containers=(replace(record.containers[0], health_status="UNHEALTHY"),)))
    task = await shown(api, arn)
    assert (task["healthStatus"], task["containers"][0]["healthStatus"]) == ("UNHEALTHY", "UNHEALTHY")


async def test_gpus_are_dealt_to_containers_in_their_order(api: Any) -> None:
    api.join(gpu_ids=("gpu-0", "gpu-1", "gpu-2"))
    gpus: tuple[list[dict[str, str]], ...] = (
        [{"type": "GPU", "value": "1"}],
        [],
        [{"type": "GPU", "value": "2"}],
    )
    await api(
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[
            {"name": f"c{number}", "image": "web:1", "memory": 64, "resourceRequirements": requirements}
            for number, requirements in enumerate(gpus)
        ],
    )
    containers = (await started(api))["containers"]
    assert [container.get("gpuIds") for container in containers] == [["gpu-0"], None, ["gpu-1", "gpu-2"]]


async def test_a_fargate_task_shows_its_platform(api: Any, register: Any) -> None:
    instance = api.join()
    api.put(replace(instance, attributes=(*instance.attributes, Attribute("ecs.capability.task-eni"))))
    await register(networkMode="awsvpc", cpu="256", memory="512", requiresCompatibilities=["FARGATE"])
    task = await started(api, launchType="FARGATE", networkConfiguration=AWSVPC)
    assert (task["launchType"], task["platformVersion"], task["platformFamily"]) == (
        "FARGATE",
        "1.4.0",
        "Linux",
    )
    assert (task["cpu"], task["memory"]) == ("256", "512")


async def test_a_task_outlives_its_instance_and_definition_in_what_is_shown(api: Any, register: Any) -> None:
    instance = api.join()
    await register()
    arn = (await started(api))["taskArn"]
    with api.state.transaction(Cause(kind="timer", id="test")) as transaction:
        transaction.delete(ContainerInstance, instance.key)
        transaction.delete(InstanceConnection, instance.key)
        transaction.delete(TaskDefinition, "web:1")
    task = await shown(api, arn)
    assert (task["connectivity"], task["attributes"]) == ("DISCONNECTED", [])
    assert "image" not in task["containers"][0]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        (
            {"inferenceAccelerators": [{"deviceName": "d", "deviceType": "eia2.medium"}]},
            "inferenceAccelerators",
        ),
        (
            {"trustedExecutionConfiguration": {"isolationMode": "SHARED", "attestationPolicy": "p"}},
            "trustedExecutionConfiguration",
        ),
        ({"proxyConfiguration": {"type": "APPMESH", "containerName": "web"}}, "proxyConfiguration"),
        ({"volumes": [{"name": "v", "configuredAtLaunch": True}]}, "configuredAtLaunch of volume v"),
        (
            {"volumes": [{"name": "v", "s3filesVolumeConfiguration": {"fileSystemArn": "a"}}]},
            "s3filesVolumeConfiguration of volume v",
        ),
    ],
)
async def test_a_definition_that_only_awss_hosts_can_run_is_kept_and_never_used(
    api: Any, register: Any, members: dict[str, Any], named: str
) -> None:
    api.join()
    await register(**members, **({"networkMode": "awsvpc"} if "proxyConfiguration" in members else {}))
    with pytest.raises(ClientException, match=rf"web:1 cannot be used on this controller: {named}"):
        await api("RunTask", taskDefinition="web")
    with pytest.raises(ClientException, match="cannot be used on this controller"):
        await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=0)


@pytest.mark.parametrize(
    ("container", "members", "version"),
    [
        ({}, {"ephemeralStorage": {"sizeInGiB": 30}}, "1.3.0"),
        ({}, {"pidMode": "task"}, "1.3.0"),
        ({"environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/a.env"}]}, {}, "1.3.0"),
        ({"secrets": [{"name": "S", "valueFrom": "/a"}]}, {"executionRoleArn": "r"}, "1.2.0"),
    ],
)
async def test_a_platform_version_has_what_the_definition_needs_or_refuses_it(
    api: Any, register: Any, container: dict[str, Any], members: dict[str, Any], version: str
) -> None:
    api.join()
    fargate = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512"}
    await register(container=container, **fargate, **members)
    request = {
        "taskDefinition": "web",
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}},
    }
    with pytest.raises(PlatformTaskDefinitionIncompatibilityException, match="needs platform version"):
        await api("RunTask", **request, platformVersion=version)
    await api("RunTask", **request, platformVersion="1.4.0")
    await api("RunTask", **request)
