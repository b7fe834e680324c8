"""Reports of agents: accepted twice, late and about anything, and never taken back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import InvalidParameterException, SerializationException
from controller.state.entities import (
    Deployment,
    NetworkInterface,
    QuarantinedTask,
    Task,
    TaskContainer,
    TaskDefinition,
    TaskSet,
)
from controller.state.image_pins import owner_of
from tests.unit.api.conftest import Api, agent_of

ID = "a" * 32
INSTANCE = "1" * 32
ARN = f"arn:aws:ecs:us-east-1:000000000000:task/default/{ID}"
AGENT = agent_of("default")
ACKNOWLEDGED = {"acknowledgment": "ACK"}


@pytest.fixture
def task(api: Api) -> Task:
    task = Task(
        cluster="default",
        id=ID,
        family="web",
        revision=1,
        instance=INSTANCE,
        created_at=1.0,
        containers=(TaskContainer(name="web", id="c1"), TaskContainer(name="side", id="c2")),
    )
    api.put(task)
    return task


async def submit(api: Api, **members: Any) -> None:
    assert await api.call("SubmitTaskStateChange", AGENT, **{"task": ARN, **members}) == ACKNOWLEDGED


def now_known(api: Api) -> Task:
    task = api.state.read().get(Task, f"default/{ID}")
    assert task is not None
    return task


async def test_a_running_report_fills_in_the_containers(api: Api, task: Task) -> None:
    await submit(
        api,
        status="RUNNING",
        reason="",
        pullStartedAt=10.5,
        pullStoppedAt=11,
        containers=[
            {
                "containerName": "web",
                "runtimeId": "r1",
                "imageDigest": "sha256:1",
                "status": "RUNNING",
                "networkBindings": [
                    {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
                ],
            },
            {"containerName": "side", "status": "RUNNING", "networkBindings": None, "exitCode": None},
        ],
        managedAgents=[{"containerName": "web", "managedAgentName": "x", "status": "RUNNING"}],
    )
    known = now_known(api)
    assert (known.reported_status, known.pull_started_at, known.pull_stopped_at) == ("RUNNING", 10.5, 11.0)
    web = known.containers[0]
    assert (web.last_status, web.runtime_id, web.image_digest) == ("RUNNING", "r1", "sha256:1")
    assert (web.network_bindings[0].bind_ip, web.network_bindings[0].host_port) == ("0.0.0.0", 32768)
    assert api.signs_of_life == [("default", INSTANCE)]


async def test_managed_agents_are_as_they_were_last_reported(api: Api, task: Task) -> None:
    agent = {"containerName": "web", "managedAgentName": "ExecuteCommandAgent"}
    await submit(api, status="RUNNING", managedAgents=[{**agent, "status": "RUNNING"}])
    started_at = api.clock.now()
    api.clock.advance(5)
    await submit(api, status="RUNNING", managedAgents=[{**agent, "status": "STOPPED", "reason": "it ended"}])
    await submit(api, status="RUNNING", managedAgents=[{**agent, "status": "odd"}])
    answer = await api.call("DescribeTasks", tasks=[task.id])
    web, side = answer["tasks"][0]["containers"]
    assert web["managedAgents"] == [
        {
            "name": "ExecuteCommandAgent",
            "lastStatus": "STOPPED",
            "lastStartedAt": started_at,
            "reason": "it ended",
        }
    ]
    assert "managedAgents" not in side


async def test_a_late_running_report_never_reopens_a_stopped_task(api: Api, task: Task) -> None:
    await submit(api, status="RUNNING")
    await submit(api, status="STOPPED", reason="it is over")
    stopped = now_known(api)
    await submit(api, status="RUNNING")
    assert now_known(api) is stopped
    assert stopped.stop_code == "EssentialContainerExited"
    assert stopped.stopped_reason == "it is over"


async def test_a_repeated_report_writes_nothing(api: Api, task: Task) -> None:
    await submit(api, status="RUNNING")
    newest = api.state.flusher.newest
    await submit(api, status="RUNNING")
    assert api.state.flusher.newest == newest


async def test_early_statuses_of_the_engine_count_as_pending(api: Api, task: Task) -> None:
    for status in ("MANIFEST_PULLED", "PULLED", "CREATED", "PENDING"):
        await submit(api, status=status)
        assert now_known(api).reported_status == "PENDING"


@pytest.mark.parametrize(
    "members",
    [
        {"task": ARN.replace(ID, "b" * 32), "status": "STOPPED"},
        {"task": "b" * 32, "status": "RUNNING"},
        {"cluster": "gone", "status": "STOPPED"},
        {"attachments": [{"attachmentArn": "x", "status": "ATTACHED"}]},
    ],
)
async def test_reports_about_unknown_things_are_acknowledged(api: Api, task: Task, members: Any) -> None:
    await submit(api, **members)
    assert now_known(api) is task


async def test_the_end_of_a_quarantined_task_clears_it(api: Api) -> None:
    quarantined = QuarantinedTask(cluster="default", instance=INSTANCE, task_arn=ARN, first_seen_at=1.0)
    api.put(quarantined)
    await submit(api, status="RUNNING")
    assert api.state.read().get(QuarantinedTask, quarantined.key) is not None
    await submit(api, status="STOPPED")
    assert api.state.read().get(QuarantinedTask, quarantined.key) is None


@pytest.mark.parametrize(
    "members",
    [{"task": None}, {"task": 7}, {"status": "DANCING"}, {"containers": "x"}, {"pullStartedAt": "noon"}],
)
async def test_a_report_that_nobody_can_read_is_refused_so_that_the_agent_drops_it(
    api: Api, members: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameterException):
        await api.call("SubmitTaskStateChange", AGENT, **{"task": ARN, **members})


async def test_a_report_that_is_no_json_is_told_so(api: Api) -> None:
    with pytest.raises(SerializationException):
        api.service.operations["SubmitTaskStateChange"].decode(b"{")


async def test_one_container_can_be_reported_alone(api: Api, task: Task) -> None:
    answer = await api.call(
        "SubmitContainerStateChange",
        AGENT,
        task=ARN,
        containerName="side",
        status="STOPPED",
        exitCode=3,
        reason="done",
    )
    assert answer == ACKNOWLEDGED
    known = now_known(api)
    assert known.reported_status == "NONE"
    assert (known.containers[1].last_status, known.containers[1].exit_code) == ("STOPPED", 3)


async def test_attachments_are_acknowledged(api: Api) -> None:
    answer = await api.call(
        "SubmitAttachmentStateChanges", AGENT, attachments=[{"attachmentArn": "x", "status": "ATTACHED"}]
    )
    assert answer == ACKNOWLEDGED


async def test_the_first_digest_of_a_deployments_image_is_kept(api: Api, task: Task) -> None:
    deployment = Deployment(
        cluster="default",
        service="web",
        id="ecs-svc/1",
        family="web",
        revision=1,
        created_at=1.0,
        updated_at=1.0,
    )
    document = {"containerDefinitions": [{"name": "web", "image": "w:1"}, {"name": "side", "image": "s:1"}]}
    definition = TaskDefinition(family="web", revision=1, document=document, registered_at=1.0)
    api.put(deployment, definition, replace(task, service="web", deployment=deployment.id))
    digest = "sha256:" + "1" * 64
    await submit(api, status="RUNNING", containers=[{"containerName": "web", "imageDigest": digest}])

    kept = api.state.read().get(Deployment, deployment.key)
    assert kept is not None
    assert kept.image_digests == (("web", digest),)


async def test_the_first_task_of_a_task_set_settles_its_images(api: Api, task: Task) -> None:
    task_set = TaskSet(
        cluster="default",
        service="web",
        id="ecs-svc/2",
        family="web",
        revision=1,
        stability_status_at=1.0,
        created_at=1.0,
        updated_at=1.0,
    )
    document = {"containerDefinitions": [{"name": "web", "image": "w:1"}]}
    definition = TaskDefinition(family="web", revision=1, document=document, registered_at=1.0)
    api.put(task_set, definition, replace(task, service="web", deployment=task_set.id))
    digest = "sha256:" + "2" * 64
    await submit(api, status="RUNNING", containers=[{"containerName": "web", "imageDigest": digest}])

    kept = api.state.read().get(TaskSet, task_set.key)
    assert kept is not None
    assert kept.image_digests == (("web", digest),)
    known = api.state.read().get(Task, task.key)
    assert known is not None
    assert owner_of(api.state.read(), known) is kept


async def test_the_address_of_an_awsvpc_task_is_kept_as_first_reported(api: Api, task: Task) -> None:
    interface = {"privateIpv4Address": "172.17.0.5", "macAddress": "02:42:ac:11:00:05"}
    await submit(api, status="RUNNING", reason="", networkInterfaces=[interface])
    await submit(api, status="RUNNING", reason="", networkInterfaces=[])

    assert now_known(api).network_interface == NetworkInterface(
        private_ipv4="172.17.0.5", mac_address="02:42:ac:11:00:05"
    )
