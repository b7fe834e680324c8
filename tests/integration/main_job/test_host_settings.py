"""What an operator says of a machine reaches the cluster, and decides what is placed there."""

import json
from pathlib import Path

import pytest

from tests.integration.main_job.homeport import Answer, Homeport
from tests.support.fixtures import TrackProcess

pytestmark = pytest.mark.engine


def test_attributes_tags_and_reservations_of_file_and_variables_are_the_instances(
    homeport: Homeport, processes: TrackProcess, tmp_path: Path
) -> None:
    (plain,) = homeport.instances()
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps(
            {
                "InstanceAttributes": {"rack": "a1", "disk": "nvme"},
                "ContainerInstanceTags": {"team": "x"},
                "ReservedMemory": 512,
                "ReservedPorts": [22, 8099],
                "HOMEPORT_INSTANCE_TYPE": "nuc",
            }
        )
    )
    processes(
        homeport.new_agent(
            "chosen",
            ECS_AGENT_CONFIG_FILE_PATH=str(file),
            HOMEPORT_AVAILABILITY_ZONE="cellar",
            ECS_RESERVED_PORTS_UDP="[53]",
            ECS_INSTANCE_ATTRIBUTES='{"rack":"b2"}',
        )
    ).start()
    chosen = homeport.eventually(lambda: other_than(homeport, plain), "the second machine is connected")

    attributes = {attribute["name"]: attribute.get("value") for attribute in chosen["attributes"]}
    assert (attributes["rack"], attributes["ecs.availability-zone"]) == ("b2", "cellar")
    assert attributes["ecs.instance-type"] == "nuc"
    assert "disk" not in attributes, "the variable replaces what the file says"
    assert chosen["tags"] == [{"key": "team", "value": "x"}]
    assert resource(plain, "MEMORY")["integerValue"] - resource(chosen, "MEMORY")["integerValue"] == 512
    assert {"22", "8099"} <= set(resource(chosen, "PORTS")["stringSetValue"])
    assert resource(chosen, "PORTS_UDP")["stringSetValue"] == ["53"]

    definition = homeport.register(
        "picky", {"command": ["sleep", "300"], "stopTimeout": 2}, networkMode="none"
    )
    only_there = [{"type": "memberOf", "expression": "attribute:rack == b2"}]
    # A machine that has just connected takes tasks once it has said what it runs.
    (task,) = homeport.eventually(
        lambda: homeport.ecs("RunTask", taskDefinition=definition, placementConstraints=only_there)["tasks"],
        "the second machine takes the task",
    )
    arn = task["taskArn"]
    assert homeport.wait_for_status(arn, "RUNNING")["containerInstanceArn"] == chosen["containerInstanceArn"]


def other_than(homeport: Homeport, known: Answer) -> Answer | None:
    """The connected instance that is not the known one, tags included."""
    arns = homeport.ecs("ListContainerInstances")["containerInstanceArns"]
    found = homeport.ecs("DescribeContainerInstances", containerInstances=arns, include=["TAGS"])
    for instance in found["containerInstances"]:
        if instance["containerInstanceArn"] != known["containerInstanceArn"] and instance["agentConnected"]:
            return dict(instance)
    return None


def resource(instance: Answer, name: str) -> Answer:
    """A registered resource."""
    (found,) = (each for each in instance["registeredResources"] if each["name"] == name)
    return dict(found)
