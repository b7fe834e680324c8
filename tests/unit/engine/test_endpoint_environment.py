"""How containers learn where the agent's endpoints are."""

from msgspec.structs import replace

from agent.engine.adoption import adopt
from agent.engine.container_body import METADATA_ID_LABEL, TASK_ARN_LABEL
from agent.engine.definition import plan_task
from agent.engine.endpoint_environment import with_endpoints
from agent.protocol import acs
from tests.unit.engine.builders import ARN, acs_task, inspection


def test_a_container_is_told_of_every_endpoint() -> None:
    task = acs_task(role_credentials=acs.IAMRoleCredentials(credentials_id="role-id"))

    assert with_endpoints(["A=1"], task, "own-id") == [
        "A=1",
        "ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/own-id",
        "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/own-id",
        "ECS_AGENT_URI=http://169.254.170.2/api/own-id",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/role-id",
    ]


def test_a_task_without_a_role_is_told_of_no_credentials() -> None:
    names = [entry.partition("=")[0] for entry in with_endpoints([], acs_task(), "own-id")]
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in names


def test_a_variable_of_the_same_name_gives_way() -> None:
    entries = with_endpoints(["ECS_AGENT_URI=elsewhere", "ECS_AGENT_URI_2=kept"], acs_task(), "own-id")

    assert [entry for entry in entries if entry.startswith("ECS_AGENT_URI")] == [
        "ECS_AGENT_URI_2=kept",
        "ECS_AGENT_URI=http://169.254.170.2/api/own-id",
    ]


def test_the_id_looks_like_a_uuid_and_is_the_containers_own() -> None:
    plan = plan_task(acs_task(), 30.0, lambda: "01234567890123456789")

    (container,) = plan.containers
    assert container.metadata_id == "01234567-8901-2345-6789-012345678901"


def test_an_adopted_container_keeps_the_id_that_it_was_made_with() -> None:
    found = inspection("web", "RUNNING")
    labels = {TASK_ARN_LABEL: ARN, METADATA_ID_LABEL: "own-id"}
    (task,) = adopt([replace(found, labels=labels)], 30.0)

    assert task.plan.containers[0].metadata_id == "own-id"
