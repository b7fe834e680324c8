"""What tasks are served on a real host: bridge and host network, AWS's SDK, metadata field by field."""

from typing import Any

import pytest

from tests.integration.endpoints.conftest import ROLE_ARN, Answer, Island
from tests.support.processes import wait_until

pytestmark = [pytest.mark.timeout(180)]

HEALTH_CHECK = {"command": ["CMD-SHELL", "echo well"], "interval": 5, "startPeriod": 0}
TAGS = [{"key": "team", "value": "a"}]


class Probed:
    """A task, what its probe was told, and what the engine says of it."""

    def __init__(self, island: Island, arn: str) -> None:
        self.arn = arn
        self.told = island.report(arn)
        self.task = island.task(arn)
        self.inspected = island.inspect(arn, "probe")

    def answer(self, what: str) -> Any:
        """The body of an answer that must be a success."""
        status, body = self.told[what]
        assert status == 200, (what, body)
        return body


@pytest.fixture(scope="module")
def arns(island: Island) -> dict[str, str]:
    """The probed tasks by their network mode, all started before the first has reported."""
    side = {
        "name": "side",
        "cpu": 100,
        "command": ["sleep", "600"],
        "portMappings": [{"containerPort": 80}],
        "healthCheck": HEALTH_CHECK,
        "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
        "dockerLabels": {"colour": "green"},
    }
    bridge = island.register_probe("bridge", side, cpu="512", memory="512", taskRoleArn=ROLE_ARN)
    host = island.register_probe("hosted", networkMode="host")
    awsvpc = island.register_probe("own", networkMode="awsvpc")
    subnets = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    return {
        "bridge": island.serve(bridge, "shop", tags=TAGS, propagateTags="SERVICE"),
        "host": island.run(host),
        "awsvpc": island.run(awsvpc, networkConfiguration=subnets),
    }


@pytest.fixture(scope="module")
def bridge(island: Island, arns: dict[str, str]) -> Probed:
    """A task of a service with a role, on the bridge, with another container beside the probe."""
    return Probed(island, arns["bridge"])


@pytest.fixture(scope="module")
def hosted(island: Island, arns: dict[str, str]) -> Probed:
    """A task without a role, in the host's own network."""
    return Probed(island, arns["host"])


@pytest.fixture(scope="module")
def own(island: Island, arns: dict[str, str]) -> Probed:
    """A task with a network of its own."""
    return Probed(island, arns["awsvpc"])


def test_the_sdk_finds_the_credentials_of_the_role_by_itself_and_calls_the_controller(bridge: Probed) -> None:
    assert "AWS_ACCESS_KEY_ID" not in bridge.told["environment"]
    assert f"assumed-role/{ROLE_ARN.rpartition('/')[2]}/" in bridge.told["caller"]["Arn"]
    assert bridge.told["described"] == [bridge.arn]


def test_a_task_protects_itself(bridge: Probed) -> None:
    for what in ("protected", "protection"):
        protection = bridge.answer(what)["protection"]
        assert (protection["TaskArn"], protection["ProtectionEnabled"]) == (bridge.arn, True)
        assert protection["ExpirationDate"].endswith("Z")


def test_a_task_without_a_role_has_no_credentials_and_may_not_protect_itself(hosted: Probed) -> None:
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in hosted.told["environment"]
    status, body = hosted.told["protection"]
    assert (status, body["error"]["Code"]) == (403, "AccessDeniedException")


def test_metadata_of_the_task_is_what_the_controller_says(island: Island, bridge: Probed) -> None:
    task = dict(bridge.answer("task"))
    containers = {each["Name"]: each for each in task.pop("Containers")}

    assert set(containers) == {"probe", "side"}
    assert task.pop("PullStartedAt") <= task.pop("PullStoppedAt")
    assert task == {
        "Cluster": island.cluster,
        "TaskARN": bridge.arn,
        "Family": "bridge",
        "Revision": "1",
        "DesiredStatus": "RUNNING",
        "KnownStatus": task["KnownStatus"],
        "Limits": {"CPU": 0.5, "Memory": 512},
        "AvailabilityZone": "us-east-1a",
        "LaunchType": "EC2",
        "ServiceName": "shop",
        "FaultInjectionEnabled": False,
    }
    side = containers["side"]
    (binding,) = next(each for each in bridge.task["containers"] if each["name"] == "side")["networkBindings"]
    assert side["Ports"] == [
        {"ContainerPort": 80, "Protocol": "tcp", "HostPort": binding["hostPort"], "HostIp": "0.0.0.0"}
    ]
    assert side["Limits"] == {"CPU": 100, "Memory": 64}
    assert side["LogOptions"]["max-size"] == "1m"
    assert (side["Health"]["status"], side["Health"]["output"]) == ("HEALTHY", "well\n")
    assert side["Labels"]["colour"] == "green"


def test_metadata_of_the_container_is_what_the_engine_says(bridge: Probed) -> None:
    container: Answer = dict(bridge.answer("container"))
    inspected, described = bridge.inspected, bridge.task["containers"]
    network = inspected["NetworkSettings"]["Networks"]["bridge"]

    assert container.pop("CreatedAt") <= container.pop("StartedAt")
    volumes = container.pop("Volumes")
    assert {"Source": "/usr", "Destination": "/usr"} in volumes
    assert container == {
        "DockerId": inspected["Id"],
        "Name": "probe",
        "DockerName": inspected["Name"].lstrip("/"),
        "Image": inspected["Config"]["Image"],
        "ImageID": inspected["Image"],
        "Labels": {
            name: value
            for name, value in inspected["Config"]["Labels"].items()
            if name not in ("homeport.agent", "homeport.essential", "homeport.metadata-id")
        },
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 2, "Memory": 256},
        "Type": "NORMAL",
        "LogDriver": "json-file",
        "LogOptions": inspected["HostConfig"]["LogConfig"]["Config"],
        "ContainerARN": next(each["containerArn"] for each in described if each["name"] == "probe"),
        "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": [network["IPAddress"]]}],
    }


def test_version_three_is_the_same_without_what_came_later(bridge: Probed) -> None:
    later = {"LogDriver", "LogOptions", "ContainerARN"}
    expected = {name: value for name, value in bridge.answer("container").items() if name not in later}

    assert bridge.answer("container_v3") == expected
    assert "LaunchType" not in bridge.answer("task_v3")


def test_tags_come_from_the_controller(bridge: Probed) -> None:
    body = bridge.answer("task_with_tags")
    assert "Errors" not in body
    assert (body["TaskTags"], body["ContainerInstanceTags"]) == ({"team": "a"}, {})


def test_statistics_have_dockers_shape_with_rates(island: Island, bridge: Probed) -> None:
    stats = bridge.answer("stats")
    with island.host.engine.client() as engine:
        dockers = engine.api.stats(bridge.inspected["Id"], stream=False)

    # An engine whose own network is not the machine's tells of no networks of its containers.
    assert stats.keys() == dockers.keys() | {"networks", "network_rate_stats"}
    for part in ("cpu_stats", "memory_stats", "blkio_stats"):
        assert stats[part].keys() == dockers[part].keys()
    assert stats["cpu_stats"]["cpu_usage"].keys() == dockers["cpu_stats"]["cpu_usage"].keys()
    counters = {f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")}
    assert {name: network.keys() for name, network in stats["networks"].items()} == {"eth0": counters}
    assert stats["network_rate_stats"].keys() == {"rx_bytes_per_sec", "tx_bytes_per_sec"}
    assert (stats["id"], stats["name"]) == (dockers["id"], dockers["name"])
    assert stats["memory_stats"]["limit"] == dockers["memory_stats"]["limit"]
    assert set(bridge.answer("task_stats")) == {each["runtimeId"] for each in bridge.task["containers"]}


def test_a_container_in_the_hosts_network_reaches_the_same_endpoints(island: Island, hosted: Probed) -> None:
    container = hosted.answer("container")

    assert container["DockerId"] == hosted.inspected["Id"]
    assert container["Networks"] == [{"NetworkMode": "host", "IPv4Addresses": [""]}]
    assert hosted.answer("task")["TaskARN"] == hosted.arn
    assert "networks" not in hosted.answer("stats")


def test_a_task_with_a_network_of_its_own_reaches_them_too_and_is_told_its_address(
    island: Island, own: Probed
) -> None:
    pause = island.inspect(own.arn, "~internal~ecs~pause")["NetworkSettings"]["Networks"]["bridge"]

    (network,) = own.answer("container")["Networks"]
    assert network == {
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [pause["IPAddress"]],
        "AttachmentIndex": 0,
        "MACAddress": pause["MacAddress"],
        "IPv4SubnetCIDRBlock": "172.17.0.0/16",
        "SubnetGatewayIpv4Address": f"{pause['Gateway']}/16",
    }
    types = {each["Name"]: (each["Type"], each["KnownStatus"]) for each in own.answer("task")["Containers"]}
    assert types == {
        "probe": ("NORMAL", "RUNNING"),
        "~internal~ecs~pause": ("CNI_PAUSE", "RESOURCES_PROVISIONED"),
    }
    assert "eth0" in own.answer("stats")["networks"]


def test_a_container_cannot_read_what_is_not_its_own(bridge: Probed, hosted: Probed) -> None:
    status, text = bridge.told["unknown"]
    assert (status, text[:2]) == (404, "V4")
    uris = {each.told["environment"]["ECS_CONTAINER_METADATA_URI_V4"] for each in (bridge, hosted)}
    assert len(uris) == 2


def test_an_agent_that_was_killed_serves_the_same_ids_again(island: Island, bridge: Probed) -> None:
    environment = bridge.told["environment"]
    metadata = environment["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://169.254.170.2")
    credentials = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    island.agent.kill()
    island.agent.start()

    def served(path: str) -> str | None:
        return island.agent.get(island.agent.credentials_port, path)

    assert bridge.inspected["Id"] in str(wait_until(lambda: served(metadata), "metadata is served again"))
    given = wait_until(lambda: served(credentials), "the credentials have been sent again")
    assert '"RoleArn":"' + ROLE_ARN in given
    stored = (island.agent.data_dir / "agent.db").read_bytes()
    assert b"secretAccessKey" not in stored
