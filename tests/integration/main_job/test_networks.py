"""Networks and ports of tasks, from the API to the engine and back."""

from __future__ import annotations

import urllib.request

import pytest

from tests.integration.main_job.homeport import Homeport

pytestmark = pytest.mark.engine

VPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
SERVE = "trap 'exit 0' TERM; httpd -p 8080 -h /www; while :; do sleep 0.1; done"


def fetch(url: str) -> str:
    """What a web server answers."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_an_awsvpc_task_shows_the_address_at_which_it_can_be_reached(homeport: Homeport) -> None:
    definition = homeport.register(
        "web",
        {"command": ["sh", "-c", SERVE], "portMappings": [{"containerPort": 8080}]},
        {"command": ["sh", "-c", "sleep 3600"], "stopTimeout": 2},
        networkMode="awsvpc",
    )
    arn = homeport.run_task(definition, networkConfiguration=VPC)
    task = homeport.wait_for_status(arn, "RUNNING")

    (attachment,) = task["attachments"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "ATTACHED")
    assert details["subnetId"] == "subnet-1"
    interface = {
        "attachmentId": attachment["id"],
        "privateIpv4Address": details["privateIPv4Address"],
    }
    assert [container["networkInterfaces"] for container in task["containers"]] == [[interface], [interface]]
    assert [container["networkBindings"] for container in task["containers"]] == [[], []]
    address = details["privateIPv4Address"]
    homeport.eventually(lambda: fetch(f"http://{address}:8080/") == "hello from homeport\n", "it answers")

    homeport.ecs("StopTask", task=arn)
    task = homeport.wait_for_status(arn, "STOPPED")
    assert task["attachments"][0]["status"] == "DELETED"
    assert [container["exitCode"] for container in task["containers"]] == [0, 137]


def test_a_fargate_task_runs_in_a_network_of_its_own(homeport: Homeport) -> None:
    definition = homeport.register(
        "web",
        {"command": ["sh", "-c", "sleep 3600"], "memory": 128},
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
    )
    arn = homeport.run_task(definition, networkConfiguration=VPC, launchType="FARGATE")
    task = homeport.wait_for_status(arn, "RUNNING")

    assert task["launchType"] == "FARGATE"
    assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]


def test_a_range_of_ports_is_bound_to_as_many_ports_of_the_host_in_a_row(homeport: Homeport) -> None:
    definition = homeport.register(
        "web",
        {
            "command": ["sh", "-c", SERVE],
            "portMappings": [{"containerPortRange": "8078-8081"}, {"containerPort": 9000}],
        },
    )
    task = homeport.wait_for_status(homeport.run_task(definition), "RUNNING")

    single, row = sorted(task["containers"][0]["networkBindings"], key=lambda b: "hostPortRange" in b)
    assert (single["containerPort"], single["protocol"]) == (9000, "tcp")
    assert single["hostPort"] > 0
    assert (row["bindIP"], row["containerPortRange"]) == ("0.0.0.0", "8078-8081")
    first, last = (int(port) for port in row["hostPortRange"].split("-"))
    assert last - first == 3
    homeport.eventually(
        lambda: fetch(f"http://127.0.0.1:{first + 2}/") == "hello from homeport\n", "it answers"
    )
