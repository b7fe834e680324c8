"""Callers with the credentials of a task's role: verified, bound to task and cluster, and to what the role
permits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agent.protocol.signing import Credentials, sign
from controller.api.authentication import Authenticator, authorise
from controller.api.context import Caller
from controller.api.errors import (
    AccessDeniedException,
    ApiError,
    ExpiredTokenException,
    InvalidSignatureException,
    UnrecognizedClientException,
)
from controller.api.operations.sts import get_caller_identity
from controller.api.task_permissions import authorise_task
from controller.keyring import Keyring
from controller.roles import tokens
from controller.state.entities import TaskDefinition, TaskRole
from tests.unit.api.conftest import Api
from tests.unit.state.samples import task

TASK = task()
ARN = f"arn:aws:sts::000000000000:assumed-role/worker/{TASK.id}"
CALLER = Caller(ARN, "ASIATASK", "task", "default", task=TASK.id, task_role="worker")
KEYRING = Keyring(b"k" * 32)
LIFETIME_S = 600.0
ECS = "arn:aws:ecs:us-east-1:000000000000"


@pytest.fixture
def authenticator(api: Api) -> Authenticator:
    """Verifies against the API's state, in which the task runs."""
    api.put(TASK)
    return Authenticator(api.state, KEYRING, api.clock, 300.0)


def issued(api: Api, keyring: Keyring = KEYRING) -> tokens.SessionCredentials:
    return tokens.issue(
        keyring,
        random.Random(1),
        role="worker",
        cluster="default",
        task=TASK.id,
        expires_at=api.clock.now() + LIFETIME_S,
    )


def verify(
    authenticator: Authenticator, api: Api, issued: tokens.SessionCredentials, secret: str = ""
) -> Caller:
    credentials = Credentials(issued.access_key_id, secret or issued.secret_access_key, issued.session_token)
    url = "http://controller.test:8480/"
    headers = sign(
        method="POST",
        url=url,
        headers={},
        body=b"{}",
        credentials=credentials,
        service="ecs",
        region="us-east-1",
        now=api.clock.now(),
    )
    return authenticator.authenticate(headers | {"Host": "controller.test:8480"}, "POST", "/", "", b"{}")


def test_a_signature_with_a_session_token_tells_task_cluster_and_role(
    api: Api, authenticator: Authenticator
) -> None:
    caller = verify(authenticator, api, issued(api))
    assert (caller.role, caller.cluster, caller.task, caller.task_role) == (
        *("task", "default", TASK.id, "worker"),
    )
    assert caller.arn == ARN


def test_credentials_end_at_their_time(api: Api, authenticator: Authenticator) -> None:
    credentials = issued(api)
    api.clock.advance(LIFETIME_S - 1)
    verify(authenticator, api, credentials)
    api.clock.advance(1)
    with pytest.raises(ExpiredTokenException, match="The security token included in the request is expired"):
        verify(authenticator, api, credentials)


@pytest.mark.parametrize("ended", ["stopped", "forgotten"])
def test_credentials_end_with_their_task(api: Api, authenticator: Authenticator, ended: str) -> None:
    if ended == "stopped":
        api.put(task(desired_status="STOPPED", reported_status="STOPPED"))
    else:
        with api.context().transaction() as transaction:
            transaction.delete(type(TASK), TASK.key)
    with pytest.raises(ExpiredTokenException):
        verify(authenticator, api, issued(api))


def test_a_task_that_is_being_stopped_can_still_say_goodbye(api: Api, authenticator: Authenticator) -> None:
    api.put(task(desired_status="STOPPED", reported_status="RUNNING"))
    assert verify(authenticator, api, issued(api)).task == TASK.id


def test_a_wrong_secret_is_an_invalid_signature(api: Api, authenticator: Authenticator) -> None:
    with pytest.raises(InvalidSignatureException):
        verify(authenticator, api, issued(api), secret="x" * 40)


def test_a_token_of_another_controller_is_not_recognised(api: Api, authenticator: Authenticator) -> None:
    with pytest.raises(UnrecognizedClientException):
        verify(authenticator, api, issued(api, Keyring(b"x" * 32)))


def test_a_task_is_no_agent(api: Api) -> None:
    for operation in ("Poll", "StartTelemetrySession", "DiscoverPollEndpoint", "SubmitTaskStateChange"):
        with pytest.raises(AccessDeniedException):
            authorise(CALLER, operation, "default")


def test_sts_tells_the_assumed_role(api: Api) -> None:
    identity = get_caller_identity(api.context(CALLER), {})
    assert identity["Arn"] == ARN
    role, _, session = identity["UserId"].partition(":")
    assert role.startswith("AROA")
    assert session == TASK.id


def refusal(api: Api, operation: str, request: dict[str, Any]) -> str:
    """Why the task may not, or nothing."""
    try:
        authorise_task(api.context(CALLER), operation, request)
    except ApiError as error:
        return f"{error.code}: {error.message}"
    return ""


def permit(api: Api, *allowed: str) -> None:
    api.put(TaskRole(name="worker", allowed=allowed, changed_at=0.0))


def test_a_role_that_was_never_set_permits_nothing(api: Api) -> None:
    for operation in ("ListTasks", "RegisterTaskDefinition", "CreateCluster"):
        assert refusal(api, operation, {}) == (
            f"AccessDeniedException: User: {ARN} is not authorized to perform: ecs:{operation} "
            f"on resource: * because no identity-based policy allows the ecs:{operation} action"
        )


def test_a_viewer_sees_and_a_deployer_changes(api: Api) -> None:
    permit(api, "viewer")
    assert refusal(api, "ListTasks", {}) == ""
    assert refusal(api, "RunTask", {}).startswith("AccessDenied")
    permit(api, "deployer")
    assert refusal(api, "RunTask", {"cluster": "default", "taskDefinition": ""}) == ""
    assert refusal(api, "RegisterTaskDefinition", {"family": "web"}) == ""
    permit(api, "StopTask")
    assert refusal(api, "StopTask", {"task": "x"}) == ""
    assert refusal(api, "ListTasks", {}).startswith("AccessDenied")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("ListTasks", {"cluster": "edge"}),
        ("ListTasks", {"cluster": f"{ECS}:cluster/edge"}),
        ("DescribeClusters", {"clusters": ["default", "edge"]}),
        ("DescribeServiceRevisions", {"serviceRevisionArns": [f"{ECS}:service-revision/edge/web/1"]}),
        ("StopServiceDeployment", {"serviceDeploymentArn": f"{ECS}:service-deployment/edge/web/1"}),
        ("ListTagsForResource", {"resourceArn": f"{ECS}:cluster/edge"}),
        ("TagResource", {"resourceArn": f"{ECS}:capacity-provider/default", "tags": []}),
        ("TagResource", {"resourceArn": f"{ECS}:service/edge/web", "tags": []}),
    ],
)
def test_no_role_reaches_into_another_cluster(api: Api, operation: str, request_: dict[str, Any]) -> None:
    permit(api, "deployer")
    assert refusal(api, operation, request_).startswith("AccessDenied")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("DescribeClusters", {}),
        ("DescribeClusters", {"clusters": ["default"]}),
        ("DescribeServiceRevisions", {"serviceRevisionArns": [f"{ECS}:service-revision/default/web/1"]}),
        ("ListTagsForResource", {"resourceArn": f"{ECS}:cluster/default"}),
        ("TagResource", {"resourceArn": f"{ECS}:task-definition/web:1", "tags": []}),
    ],
)
def test_a_role_reaches_what_is_in_its_cluster_or_in_none(
    api: Api, operation: str, request_: dict[str, Any]
) -> None:
    permit(api, "deployer")
    assert refusal(api, operation, request_) == ""


def test_every_task_may_protect_itself_and_only_itself(api: Api) -> None:
    own = f"{ECS}:task/default/{TASK.id}"
    for operation in ("GetTaskProtection", "UpdateTaskProtection"):
        assert refusal(api, operation, {"tasks": [own]}) == ""
        assert refusal(api, operation, {"tasks": [TASK.id]}) == ""
        assert refusal(api, operation, {"tasks": [own, "0" * 32]}).startswith("AccessDenied")
        assert refusal(api, operation, {"tasks": []}).startswith("AccessDenied")
        assert refusal(api, operation, {"tasks": [TASK.id], "cluster": "edge"}).startswith("AccessDenied")


ROLE_ARN = "arn:aws:iam::000000000000:role/{}"


def test_tasks_can_be_started_with_the_own_role_and_those_that_may_be_passed_on(api: Api) -> None:
    api.put(TaskRole(name="worker", allowed=("deployer", "StartTask"), passes=("friend",), changed_at=0.0))
    plain = {"family": "web", "containerDefinitions": [{"name": "app", "image": "busybox"}]}
    for name in ("worker", "friend", "stranger"):
        document = {"taskRoleArn": ROLE_ARN.format(name), "executionRoleArn": ROLE_ARN.format("friend")}
        api.put(TaskDefinition(family=name, revision=1, document=plain | document, registered_at=0.0))
    api.put(TaskDefinition(family="plain", revision=1, document=plain, registered_at=0.0))
    for operation in ("RunTask", "StartTask", "CreateService", "UpdateService", "CreateTaskSet"):
        for name in ("worker", "friend", "plain:1"):
            assert refusal(api, operation, {"taskDefinition": name}) == ""
        assert refusal(api, operation, {"taskDefinition": "stranger"}) == (
            f"AccessDeniedException: User: {ARN} is not authorized to perform: iam:PassRole on resource: "
            f"{ROLE_ARN.format('stranger')} because no identity-based policy allows the iam:PassRole action"
        )
    assert refusal(api, "UpdateService", {"desiredCount": 2}) == ""
    assert (
        refusal(api, "RunTask", {"taskDefinition": "nothing"}) == "ClientException: TaskDefinition not found."
    )


@pytest.mark.parametrize("member", ["taskRoleArn", "executionRoleArn"])
def test_no_other_role_is_registered_or_put_in_its_place(api: Api, member: str) -> None:
    permit(api, "deployer")
    api.put(TaskDefinition(family="web", revision=1, document={}, registered_at=0.0))
    own, other = ({member: ROLE_ARN.format(name)} for name in ("team/worker", "stranger"))
    assert refusal(api, "RegisterTaskDefinition", own) == ""
    assert "iam:PassRole" in refusal(api, "RegisterTaskDefinition", other)
    assert refusal(api, "RunTask", {"taskDefinition": "web", "overrides": own}) == ""
    assert "iam:PassRole" in refusal(api, "RunTask", {"taskDefinition": "web", "overrides": other})
