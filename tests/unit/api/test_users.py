"""Users: their keys, and what each role may do."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agent.protocol.signing import Credentials, sign
from controller.api.access_keys import ensure_agent_key
from controller.api.authentication import Authenticator
from controller.api.context import Caller
from controller.api.errors import (
    AccessDeniedException,
    ApiError,
    ClusterNotFoundException,
    ExpiredTokenException,
    InvalidParameterException,
    ResourceNotFoundException,
    UnrecognizedClientException,
)
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.homeport import ListQuarantinedTasks
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.api.operations.users import CreateUser, DisableUser, ListUsers, RotateUser, UserOperations
from controller.api.user_permissions import ROLE_OPERATIONS, authorise_user
from controller.api.users import Users
from controller.keyring import Keyring
from controller.state.changes import Cause
from controller.state.entities import AccessKey, Cluster, Document
from tests.unit.api.conftest import Api

KEYRING = Keyring(b"k" * 32)
ECS = "arn:aws:ecs:us-east-1:000000000000"

ADMINISTRATION = {
    "CreateCapacityProvider",
    "CreateCluster",
    "DeleteAccountSetting",
    "DeleteAttributes",
    "DeleteCapacityProvider",
    "DeleteCluster",
    "DeregisterContainerInstance",
    "PutAccountSetting",
    "PutAccountSettingDefault",
    "PutAttributes",
    "PutClusterCapacityProviders",
    "StartTask",
    "UpdateCapacityProvider",
    "UpdateCluster",
    "UpdateClusterSettings",
    "UpdateContainerAgent",
    "UpdateContainerInstancesState",
}
AGENTS_OWN = {
    "DiscoverPollEndpoint",
    "RegisterContainerInstance",
    "SubmitAttachmentStateChanges",
    "SubmitContainerStateChange",
    "SubmitTaskStateChange",
}


class Operations(UserOperations):
    """The operations, called on a state, and who calls with the keys that they make."""

    def __init__(self, api: Api) -> None:
        super().__init__(Users(KEYRING, random.Random(4)))
        self.api = api
        self.authenticator = Authenticator(api.state, KEYRING, api.clock, 300.0)

    def create(self, name: str, role: Any = "viewer", cluster: str | None = None) -> Document:
        return self.create_user(self.api.context(), CreateUser(name, role, cluster))

    def rotate(self, name: str, keep_s: float = 0.0) -> Document:
        return self.rotate_user(self.api.context(), RotateUser(name, keep_s))

    def disable(self, name: str) -> Document:
        return self.disable_user(self.api.context(), DisableUser(name))

    def listed(self) -> list[dict[str, Any]]:
        users: list[dict[str, Any]] = self.list_users(self.api.context(), ListUsers())["users"]
        return users

    def caller(self, made: Document) -> Caller:
        """Who calls with a key, as its signature proves. Raises as `authenticate` does."""
        credentials = Credentials(made["accessKeyId"], made["secretAccessKey"])
        headers = sign(
            method="POST",
            url="http://controller.test/",
            headers={"Host": "controller.test"},
            body=b"{}",
            credentials=credentials,
            service="ecs",
            region="us-east-1",
            now=self.api.clock.now(),
        ) | {"Host": "controller.test"}
        return self.authenticator.authenticate(headers, "POST", "/", "", b"{}")

    def may(self, made: Document, operation: str, service: str = "ecs", **members: Any) -> bool:
        """Whether a key's holder may do something."""
        request: Any = ListQuarantinedTasks(**members) if service == "homeport" else members
        try:
            authorise_user(self.api.context(self.caller(made)), service, operation, request)
        except AccessDeniedException:
            return False
        return True


@pytest.fixture
def users(api: Api) -> Operations:
    """The operations."""
    return Operations(api)


async def test_a_user_calls_under_its_own_name_with_the_secret_that_is_shown_once(users: Operations) -> None:
    made = users.create("alice", "deployer")
    caller = users.caller(made)
    assert (caller.arn, caller.role) == ("arn:aws:iam::000000000000:user/alice", "deployer")
    (listed,) = users.listed()
    assert listed == made["user"]
    assert listed["accessKeyId"] == made["accessKeyId"]
    stored = users.api.state.read().get(AccessKey, made["accessKeyId"])
    for text in (str(listed), repr(stored)):
        assert made["secretAccessKey"] not in text


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (CreateUser("", "viewer"), InvalidParameterException, "cannot be named"),
        (CreateUser("a/b", "viewer"), InvalidParameterException, "cannot be named"),
        (CreateUser("administrator", "viewer"), InvalidParameterException, "but not administrator"),
        (CreateUser("here", "viewer"), InvalidParameterException, "a user here already"),
        (CreateUser("a", "administrator", "default"), InvalidParameterException, "of all clusters"),
        (CreateUser("a", "agent"), InvalidParameterException, "must be named"),
        (CreateUser("a", "viewer", "nowhere"), ClusterNotFoundException, "Cluster not found"),
    ],
)
async def test_what_makes_no_user_is_refused(
    users: Operations, request_: CreateUser, error: type[ApiError], said: str
) -> None:
    users.create("here")
    with pytest.raises(error) as caught:
        users.create_user(users.api.context(), request_)
    assert said in caught.value.message
    assert [user["name"] for user in users.listed()] == ["here"]


async def test_a_rotated_key_takes_over_at_once(users: Operations) -> None:
    first = users.create("alice", "deployer")
    second = users.rotate("alice")
    assert users.caller(second).arn == users.caller(second).arn
    assert users.caller(second).role == "deployer"
    with pytest.raises(UnrecognizedClientException):
        users.caller(first)
    (listed,) = users.listed()
    assert (listed["accessKeyId"], listed["formerKeyEndsAt"]) == (second["accessKeyId"], None)


async def test_a_former_key_goes_on_for_as_long_as_it_was_said(users: Operations) -> None:
    first = users.create("alice")
    users.api.clock.advance(1)
    second = users.rotate("alice", 3600)
    assert users.caller(first) != users.caller(second)
    assert users.listed()[0]["formerKeyEndsAt"] == users.api.clock.now() + 3600
    users.api.clock.advance(3600)
    with pytest.raises(ExpiredTokenException):
        users.caller(first)
    assert users.caller(second)
    assert users.listed()[0]["formerKeyEndsAt"] is None
    users.rotate("alice", 60)
    assert len(users.api.state.read().all(AccessKey)) == 2


async def test_a_disabled_user_is_out_with_all_keys_and_in_again_with_a_new_one(users: Operations) -> None:
    first = users.create("alice")
    users.api.clock.advance(1)
    second = users.rotate("alice", 3600)
    assert users.disable("alice")["user"]["enabled"] is False
    for made in (first, second):
        with pytest.raises(UnrecognizedClientException):
            users.caller(made)
    users.disable("alice")
    third = users.rotate("alice", 3600)
    assert users.caller(third)
    assert users.listed()[0]["enabled"] is True
    with pytest.raises(UnrecognizedClientException):
        users.caller(second)


async def test_users_that_there_are_not_are_told(users: Operations) -> None:
    for act in (users.rotate, users.disable):
        with pytest.raises(ResourceNotFoundException, match=r"There is no user bob\."):
            act("bob")
    users.create("alice")
    for seconds in (-1.0, 31 * 86_400.0):
        with pytest.raises(InvalidParameterException, match="keepFormerSeconds"):
            users.rotate("alice", seconds)


async def test_the_key_of_a_user_is_never_given_to_agents(users: Operations) -> None:
    made = users.create("rack", "agent", "default")
    with users.api.state.transaction(Cause(kind="start")) as transaction:
        pair = ensure_agent_key(transaction, KEYRING, random.Random(9), "default")
    assert pair.access_key_id != made["accessKeyId"]
    assert users.caller(made).cluster == "default"


def test_it_is_settled_for_every_operation_who_may_call_it() -> None:
    every = {f"ecs:{name}" for name in (*ECS_OPERATIONS, *TYPED_OPERATIONS)}
    deployer, viewer, agent = (ROLE_OPERATIONS[role] for role in ("deployer", "viewer", "agent"))
    assert deployer is not None
    assert viewer is not None
    assert agent is not None
    assert viewer < deployer
    assert {name.removeprefix("ecs:") for name in every - deployer} == ADMINISTRATION | AGENTS_OWN
    assert {name for name in deployer if name.startswith("ecs:")} <= every
    changing = ("Create", "Update", "Delete", "Put", "Run", "Start", "Stop", "Register", "Submit", "Tag")
    assert not [name for name in viewer if name.partition(":")[2].startswith(changing)]


async def test_roles_may_what_their_table_says(users: Operations) -> None:
    viewer, deployer = users.create("v"), users.create("d", "deployer")
    assert users.may(viewer, "ListTasks")
    assert users.may(viewer, "ListQuarantinedTasks", "homeport")
    assert not users.may(viewer, "RunTask")
    assert users.may(deployer, "RunTask")
    assert users.may(deployer, "ListSecrets", "homeport")
    for service, operation in (
        ("ecs", "DeleteCluster"),
        ("homeport", "PutSecret"),
        ("homeport", "CreateUser"),
    ):
        assert not users.may(deployer, operation, service)
    with pytest.raises(AccessDeniedException) as caught:
        authorise_user(users.api.context(users.caller(viewer)), "ecs", "RunTask", {})
    assert caught.value.message == (
        "User: arn:aws:iam::000000000000:user/v is not authorized to perform: ecs:RunTask on resource: * "
        "because no identity-based policy allows the ecs:RunTask action"
    )


async def test_a_key_of_one_cluster_is_good_for_no_other(users: Operations) -> None:
    users.api.put(Cluster(name="edge", created_at=0.0))
    made = users.create("d", "deployer", "edge")
    assert users.may(made, "RunTask", cluster="edge")
    assert users.may(made, "DescribeClusters", clusters=[f"{ECS}:cluster/edge"])
    assert users.may(made, "RegisterTaskDefinition", family="f", containerDefinitions=[])
    assert users.may(made, "ListQuarantinedTasks", "homeport", cluster="edge")
    assert not users.may(made, "ListQuarantinedTasks", "homeport")
    assert not users.may(made, "RunTask")
    assert not users.may(made, "RunTask", cluster="default")
    assert not users.may(made, "TagResource", resourceArn=f"{ECS}:service/default/s")
    assert not users.may(made, "ListClusters")
    assert not users.may(made, "ListSecrets", "homeport")
