"""Registration never gives up, and keeps the container instance's identity as long as the controller does."""

from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from agent.config import load
from agent.host.attributes import EngineFacts
from agent.host.machine import Machine
from agent.host.resources import total_resources
from agent.identity import IdentityFile
from agent.session.api import ApiError, ControlPlaneClient, Unreachable
from agent.session.backoff import LIMIT_S
from agent.session.registration import Registration, attributes_not_echoed
from tests.unit.session.fakes import INSTANCE_ARN, FakeApi

pytestmark = pytest.mark.fake_loop

MACHINE = Machine(machine_id="m", boot_id="b", cpus=2, memory_mib=4096, architecture="x86_64")
NEW_ARN = INSTANCE_ARN + "-new"


def registration(api: FakeApi, identity: IdentityFile, **environment: str) -> Registration:
    config = load([], {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", **environment})
    return Registration(
        client=cast("ControlPlaneClient", api),
        config=config,
        machine=MACHINE,
        identity=identity,
        resources=total_resources(
            MACHINE, reserved_memory_mib=0, reserved_ports=(22,), reserved_ports_udp=()
        ),
        engine_facts=EngineFacts("20.10", (1, 41), ("json-file",), ()),
        random=Random(7),
    )


def accepted(arn: str = INSTANCE_ARN) -> Any:
    def answer(operation: str, request: Any) -> dict[str, Any]:
        return {"containerInstance": {"containerInstanceArn": arn, "attributes": request.get("attributes")}}

    return answer


def refused(code: str = "ClientException", message: str = "no") -> ApiError:
    return ApiError("RegisterContainerInstance", code, message, 400)


def requests(api: FakeApi) -> list[Any]:
    return [request for _, operation, request in api.calls if operation == "RegisterContainerInstance"]


@pytest.fixture
def identity(tmp_path: Path) -> IdentityFile:
    return IdentityFile.load(tmp_path, "default", "m")


async def test_the_first_registration_declares_the_machine_and_remembers_the_arn(
    identity: IdentityFile,
) -> None:
    api = FakeApi(accepted())
    agent = registration(
        api, identity, ECS_INSTANCE_ATTRIBUTES='{"rack":"a1"}', ECS_CONTAINER_INSTANCE_TAGS='{"team":"x"}'
    )
    assert await agent.register() == INSTANCE_ARN
    assert identity.current.container_instance_arn == INSTANCE_ARN
    (request,) = requests(api)
    assert request["cluster"] == "default"
    assert "containerInstanceArn" not in request
    assert request["attributes"][0] == {"name": "rack", "value": "a1"}
    assert {"name": "ecs.capability.full-sync"} in request["attributes"]
    assert request["tags"] == [{"key": "team", "value": "x"}]
    assert request["totalResources"][0] == {"name": "CPU", "type": "INTEGER", "integerValue": 2048}
    assert (request["instanceIdentityDocument"], request["instanceIdentityDocumentSignature"]) == ("", "")
    assert request["clientToken"]


async def test_a_known_instance_registers_under_its_arn_without_custom_attributes(
    identity: IdentityFile,
) -> None:
    await identity.update(container_instance_arn=INSTANCE_ARN)
    api = FakeApi(accepted(NEW_ARN))
    agent = registration(api, identity, ECS_INSTANCE_ATTRIBUTES='{"rack":"a1"}')
    assert await agent.register() == INSTANCE_ARN, "a returned ARN never changes a known identity"
    (request,) = requests(api)
    assert request["containerInstanceArn"] == INSTANCE_ARN
    assert "rack" not in [attribute["name"] for attribute in request["attributes"]]


async def test_a_controller_that_is_not_there_is_tried_until_it_is(identity: IdentityFile) -> None:
    api = FakeApi(*[Unreachable("connection refused")] * 400, accepted())
    assert await registration(api, identity).register() == INSTANCE_ARN
    times = [at for at, _, _ in api.calls]
    assert len(times) == 401
    assert max(later - earlier for earlier, later in pairwise(times)) <= LIMIT_S


@pytest.mark.parametrize("code", ["ClientException", "InvalidParameterException"])
async def test_an_instance_whose_arn_is_refused_joins_as_a_new_one(identity: IdentityFile, code: str) -> None:
    await identity.update(container_instance_arn=INSTANCE_ARN)
    api = FakeApi(refused(code), accepted(NEW_ARN))
    agent = registration(api, identity, ECS_INSTANCE_ATTRIBUTES='{"rack":"a1"}')
    assert await agent.register() == NEW_ARN
    assert identity.current.container_instance_arn == NEW_ARN
    assert "containerInstanceArn" not in requests(api)[1]
    assert requests(api)[1]["attributes"][0]["name"] == "rack"


@pytest.mark.parametrize("code", ["AccessDeniedException", "ServerException", "ThrottlingException"])
async def test_a_refusal_that_says_nothing_about_the_arn_does_not_cost_it(
    identity: IdentityFile, code: str
) -> None:
    await identity.update(container_instance_arn=INSTANCE_ARN)
    api = FakeApi(refused(code), refused(code), accepted())
    assert await registration(api, identity).register() == INSTANCE_ARN
    assert [request["containerInstanceArn"] for request in requests(api)] == [INSTANCE_ARN] * 3


async def test_the_old_arn_is_kept_until_a_new_one_is_given(identity: IdentityFile, tmp_path: Path) -> None:
    await identity.update(container_instance_arn=INSTANCE_ARN)

    def look(operation: str, request: Any) -> Any:
        assert IdentityFile.load(tmp_path, "default", "m").current.container_instance_arn == INSTANCE_ARN
        return accepted(NEW_ARN)(operation, request)

    assert await registration(FakeApi(refused(), look), identity).register() == NEW_ARN


async def test_the_default_cluster_is_made_if_it_is_missing(identity: IdentityFile) -> None:
    api = FakeApi(refused("ClusterNotFoundException"), {"cluster": {}}, accepted())
    assert await registration(api, identity).register() == INSTANCE_ARN
    assert [(operation, request.get("clusterName")) for _, operation, request in api.calls] == [
        ("RegisterContainerInstance", None),
        ("CreateCluster", "default"),
        ("RegisterContainerInstance", None),
    ]


async def test_no_other_cluster_is_ever_made(identity: IdentityFile) -> None:
    api = FakeApi(refused("ClusterNotFoundException"), accepted())
    assert await registration(api, identity, ECS_CLUSTER="prod").register() == INSTANCE_ARN
    assert [operation for _, operation, _ in api.calls] == ["RegisterContainerInstance"] * 2


async def test_a_controller_that_loses_an_attribute_is_not_believed(identity: IdentityFile) -> None:
    api = FakeApi({"containerInstance": {"containerInstanceArn": INSTANCE_ARN, "attributes": []}}, accepted())
    assert await registration(api, identity).register() == INSTANCE_ARN
    assert len(api.calls) == 2


@pytest.mark.parametrize("answer", [{}, {"containerInstance": None}])
async def test_an_answer_without_instance_is_not_believed(identity: IdentityFile, answer: Any) -> None:
    api = FakeApi(answer, accepted())
    assert await registration(api, identity).register() == INSTANCE_ARN


async def test_registering_as_new_forgets_the_arn(identity: IdentityFile) -> None:
    await identity.update(container_instance_arn=INSTANCE_ARN, store_uuid="s", epoch=3)
    api = FakeApi(accepted(NEW_ARN))
    assert await registration(api, identity).register_as_new() == NEW_ARN
    assert (identity.current.store_uuid, identity.current.epoch) == ("s", 3)


def test_an_attribute_is_echoed_if_name_and_value_are_absent_and_empty_being_alike() -> None:
    sent = [{"name": "a"}, {"name": "b", "value": "1"}, {"name": "c", "value": ""}, {"name": "d"}]
    echoed = [{"name": "a", "value": ""}, {"name": "b", "value": "2"}, {"name": "c"}, {"name": "extra"}]
    assert attributes_not_echoed(sent, echoed) == ["b", "d"]
