"""How clients name things."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import ClientException, ClusterNotFoundException, InvalidParameterException
from controller.api.identifiers import (
    resolve_cluster,
    resolve_task_definition,
    service_name,
    task_id,
)
from controller.state.entities import Cluster, TaskDefinition
from tests.unit.api.conftest import Api

ARN = "arn:aws:ecs:us-east-1:000000000000"
ID = "a" * 32


@pytest.fixture
def default(api: Api) -> Cluster:
    return resolve_cluster(api.context(), None)


@pytest.mark.parametrize("value", [None, "", "default", f"{ARN}:cluster/default"])
async def test_a_cluster_is_named_by_name_arn_or_nothing(api: Api, value: str | None) -> None:
    assert resolve_cluster(api.context(), value).name == "default"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("nope", ClusterNotFoundException),
        (f"{ARN}:cluster/nope", ClusterNotFoundException),
        ("arn:aws:ecs:us-east-1:111111111111:cluster/default", ClusterNotFoundException),
        ("arn:aws:ecs:eu-west-1:000000000000:cluster/default", ClusterNotFoundException),
        (f"{ARN}:service/default/web", InvalidParameterException),
        (f"{ARN}:cluster/", InvalidParameterException),
        (f"{ARN}:cluster/a/b", InvalidParameterException),
        ("arn:", InvalidParameterException),
    ],
)
async def test_other_clusters_are_not_found(api: Api, value: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        resolve_cluster(api.context(), value)


@pytest.mark.parametrize("value", [ID, f"{ARN}:task/default/{ID}", f"{ARN}:task/{ID}"])
async def test_a_task_is_named_by_id_or_by_either_form_of_arn(api: Api, default: Cluster, value: str) -> None:
    assert task_id(api.context(), default, value) == ID


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("short", r"taskId length should be one of \[32,36\]"),
        (f"{ARN}:task/edge/{ID}", "Identifier is for edge. Your cluster is default"),
        (f"{ARN}:task/default/x/{ID}", "Unexpected number of separators"),
        (f"{ARN}:container-instance/default/{ID}", "not the ARN of a task"),
        (f"arn:aws:ecs:us-east-1:111111111111:task/default/{ID}", "another account"),
    ],
)
async def test_a_task_that_cannot_be_here_is_refused(
    api: Api, default: Cluster, value: str, message: str
) -> None:
    with pytest.raises(InvalidParameterException, match=message):
        task_id(api.context(), default, value)


@pytest.mark.parametrize("value", ["web", f"{ARN}:service/default/web", f"{ARN}:service/web"])
async def test_a_service_is_named_by_name_or_by_either_form_of_arn(
    api: Api, default: Cluster, value: str
) -> None:
    assert service_name(api.context(), default, value) == "web"


@pytest.fixture
def revisions(api: Api) -> None:
    for revision, status in ((1, "ACTIVE"), (9, "ACTIVE"), (10, "ACTIVE"), (11, "INACTIVE")):
        values: dict[str, Any] = {"status": status, "document": {}, "registered_at": 1.0}
        api.put(TaskDefinition(family="web", revision=revision, **values))


@pytest.mark.parametrize(
    ("value", "revision"),
    [
        ("web", 10),
        ("web:9", 9),
        (f"{ARN}:task-definition/web:1", 1),
        (f"{ARN}:task-definition/web", 10),
    ],
)
async def test_a_family_alone_means_its_newest_active_revision(
    api: Api, revisions: None, value: str, revision: int
) -> None:
    assert resolve_task_definition(api.context(), value).revision == revision


async def test_an_inactive_revision_can_be_described_but_not_launched(api: Api, revisions: None) -> None:
    assert resolve_task_definition(api.context(), "web:11", for_launch=False).status == "INACTIVE"
    with pytest.raises(ClientException, match="TaskDefinition is inactive"):
        resolve_task_definition(api.context(), "web:11")


@pytest.mark.parametrize("value", ["nope", "web:12", f"{ARN.replace('000', '111')}:task-definition/web:1"])
async def test_an_unknown_task_definition_is_a_client_error(api: Api, revisions: None, value: str) -> None:
    with pytest.raises(ClientException, match=r"TaskDefinition not found\."):
        resolve_task_definition(api.context(), value)
    with pytest.raises(ClientException, match=r"Unable to describe task definition\."):
        resolve_task_definition(api.context(), value, for_launch=False)


@pytest.mark.parametrize("value", ["web:x", "web:-1", "web:1:2", "web:²", "web:" + "9" * 5000])
async def test_a_revision_is_a_number(api: Api, revisions: None, value: str) -> None:
    with pytest.raises(InvalidParameterException, match="Invalid revision number"):
        resolve_task_definition(api.context(), value)
