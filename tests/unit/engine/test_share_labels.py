"""A task's share of its host survives the loss of everything but its containers."""

import json

import pytest
from msgspec.structs import replace

from agent.engine.adoption import adopt
from agent.engine.container_body import CONTAINER_NAME_LABEL, TASK_ARN_LABEL
from agent.engine.definition import demand
from agent.engine.share_labels import CONTAINER_SHARE_LABEL, TASK_SHARE_LABEL, share_labels
from agent.protocol import acs
from tests.unit.engine.builders import ARN, acs_container, acs_task, inspection

HOST = acs.DockerConfig(host_config=json.dumps({"NetworkMode": "host", "MemoryReservation": 64 << 20}))
WEB = acs_container(
    "web", cpu=100, port_mappings=(acs.PortMapping(container_port=80, host_port=80, protocol="tcp"),)
)
SIDE = acs_container("side", memory=None, docker_config=HOST, environment={"PASSWORD": "secret"})
GPU = acs.Association(type="gpu", name="g1", containers=("web",))


@pytest.mark.parametrize(
    "task",
    [
        acs_task(WEB, SIDE, network_mode="bridge", associations=(GPU,)),
        acs_task(WEB, SIDE, cpu=0.5, memory=512),
    ],
)
def test_an_adopted_task_holds_what_it_held(task: acs.Task) -> None:
    found = [
        replace(
            inspection(c.name or "", "RUNNING"),
            labels={TASK_ARN_LABEL: ARN, CONTAINER_NAME_LABEL: c.name or "", **share_labels(task, c)},
        )
        for c in task.containers
    ]
    (adopted,) = adopt(found, 30.0)

    assert demand(adopted.definition) == demand(task)
    assert (adopted.definition.cpu, adopted.definition.memory) == (task.cpu, task.memory)
    assert adopted.definition.network_mode == task.network_mode
    assert adopted.definition.containers[0].port_mappings == WEB.port_mappings


def test_no_environment_is_written_on_a_container() -> None:
    assert "secret" not in str(share_labels(acs_task(WEB, SIDE), SIDE))


@pytest.mark.parametrize("labels", [{}, {TASK_SHARE_LABEL: "{", CONTAINER_SHARE_LABEL: "nonsense"}])
def test_a_container_without_readable_labels_is_adopted_all_the_same(labels: dict[str, str]) -> None:
    found = replace(inspection("web", "RUNNING"), labels={TASK_ARN_LABEL: ARN, **labels})
    (adopted,) = adopt([found], 30.0)

    assert adopted.plan.arn == ARN
    assert demand(adopted.definition).memory == 0
