"""A spot instance that is told of its end: drained, and its tasks replaced on another machine in time."""

from collections.abc import Iterator

import pytest

from tests.integration.main_job.homeport import Answer, Homeport
from tests.support.fixtures import TrackProcess
from tests.support.instance_metadata import DOCUMENT, INSTANCE_ID, FakeInstanceMetadata

pytestmark = pytest.mark.engine


@pytest.fixture
def spot() -> Iterator[FakeInstanceMetadata]:
    with FakeInstanceMetadata().serving() as service:
        yield service


def test_an_interruption_notice_drains_the_instance_and_its_tasks_are_replaced_elsewhere(
    homeport: Homeport, processes: TrackProcess, spot: FakeInstanceMetadata
) -> None:
    (steady,) = homeport.instances()
    spot.tag(team="x")
    agent = processes(
        homeport.new_agent(
            "spot",
            AWS_EC2_METADATA_DISABLED="false",
            AWS_EC2_METADATA_SERVICE_ENDPOINT=spot.url,
            ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM="ec2_instance",
        )
    ).start()
    homeport.eventually(lambda: described(homeport, INSTANCE_ID), "the spot instance is connected")
    instance = described(homeport, INSTANCE_ID)
    assert instance is not None
    assert instance["tags"] == [{"key": "team", "value": "x"}]
    attributes = {a["name"]: a.get("value") for a in instance["attributes"]}
    assert attributes["ecs.availability-zone"] == DOCUMENT["availabilityZone"]
    assert attributes["ecs.instance-type"] == DOCUMENT["instanceType"]
    assert attributes["ecs.ami-id"] == DOCUMENT["imageId"]

    definition = homeport.register(
        "spot", {"command": ["sleep", "300"], "stopTimeout": 2}, networkMode="none"
    )
    homeport.create_service(
        "web", definition, 2, placementStrategy=[{"type": "spread", "field": "instanceId"}]
    )
    before = {task["containerInstanceArn"]: task["taskArn"] for task in homeport.tasks()}
    assert before.keys() == {steady["containerInstanceArn"], instance["containerInstanceArn"]}

    spot.interrupt()
    homeport.eventually(lambda: status_of(homeport, INSTANCE_ID) == "DRAINING", "the instance is drained")
    homeport.eventually(lambda: tasks_run_on(homeport, {steady["containerInstanceArn"]}), "its task moved")
    homeport.wait_for_status(before[instance["containerInstanceArn"]], "STOPPED")
    assert homeport.task(before[steady["containerInstanceArn"]])["lastStatus"] == "RUNNING"
    agent.stop()


def described(homeport: Homeport, ec2_instance_id: str) -> Answer | None:
    """The connected instance of this EC2 id, tags included."""
    arns = homeport.ecs("ListContainerInstances")["containerInstanceArns"]
    found = homeport.ecs("DescribeContainerInstances", containerInstances=arns, include=["TAGS"])
    for instance in found["containerInstances"]:
        if instance["ec2InstanceId"] == ec2_instance_id and instance["agentConnected"]:
            return dict(instance)
    return None


def status_of(homeport: Homeport, ec2_instance_id: str) -> str:
    instance = described(homeport, ec2_instance_id)
    return str(instance["status"]) if instance else ""


def tasks_run_on(homeport: Homeport, arns: set[str]) -> bool:
    """Whether both tasks of the service run, and nowhere else."""
    tasks = [task for task in homeport.tasks() if task["lastStatus"] == "RUNNING"]
    return len(tasks) == 2 and {task["containerInstanceArn"] for task in tasks} == arns
