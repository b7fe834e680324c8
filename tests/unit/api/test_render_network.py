"""The network of an awsvpc task as DescribeTasks shows it."""

from __future__ import annotations

from typing import Any

from controller.api.render.network import attachments, network_interfaces
from controller.state.entities import NetworkInterface, Task

INTERFACE = NetworkInterface(private_ipv4="172.17.0.5", mac_address="02:42:ac:11:00:05")
CONFIGURATION = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"]}}}


def task(**members: Any) -> Task:
    """A task, in a network of its own unless said otherwise."""
    defaults: dict[str, Any] = {"id": "a" * 32, "options": CONFIGURATION}
    return Task(cluster="default", family="web", revision=1, created_at=1.0, **{**defaults, **members})


def test_a_task_without_a_network_of_its_own_has_no_attachment() -> None:
    assert attachments(task(options={})) == []
    assert network_interfaces(task(options={})) == []


def test_before_its_agent_has_made_the_network_the_attachment_is_precreated() -> None:
    (attachment,) = attachments(task())

    assert attachment["status"] == "PRECREATED"
    assert attachment["details"] == [{"name": "subnetId", "value": "subnet-1"}]
    assert network_interfaces(task()) == []


def test_the_address_is_in_the_attachment_and_at_every_container() -> None:
    running = task(network_interface=INTERFACE)
    (attachment,) = attachments(running)

    assert attachment["status"] == "ATTACHED"
    assert {"name": "privateIPv4Address", "value": "172.17.0.5"} in attachment["details"]
    assert {"name": "macAddress", "value": "02:42:ac:11:00:05"} in attachment["details"]
    assert network_interfaces(running) == [
        {"attachmentId": attachment["id"], "privateIpv4Address": "172.17.0.5"}
    ]


def test_an_ended_task_has_given_its_network_back() -> None:
    (attachment,) = attachments(task(network_interface=INTERFACE, reported_status="STOPPED"))

    assert attachment["status"] == "DELETED"


def test_attachments_are_told_apart() -> None:
    assert attachments(task())[0]["id"] != attachments(task(id="b" * 32))[0]["id"]
