"""Joining with a token: what is issued for it, what is refused, and what credentials of an instance are good
for."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from agent.protocol import joining
from agent.protocol.joining import FormerKey, IssuedCredentials, JoinRequest, parse_token
from agent.protocol.signing import Credentials, sign
from controller.api.authentication import AGENT_OPERATIONS, Authenticator, authorise_connection
from controller.api.context import Caller
from controller.api.errors import (
    AccessDeniedException,
    ApiError,
    ExpiredTokenException,
    InvalidParameterException,
    ResourceNotFoundException,
    UnrecognizedClientException,
)
from controller.api.instance_keys import LIFETIME_S, InstanceKeys
from controller.api.instance_permissions import CHECKS, authorise_instance
from controller.api.join_tokens import KEPT_AFTER_END_S, JoinRefused, JoinTokens
from controller.api.operations.homeport import EnsureAgentAccessKey, HomeportOperations
from controller.api.operations.joining import (
    CreateJoinToken,
    JoinOperations,
    ListJoinTokens,
    RenewAgentCredentials,
    RevokeAgentCredentials,
    RevokeJoinToken,
    reachable,
)
from controller.config import ControllerConfig
from controller.keyring import Keyring
from controller.program import Program
from controller.state.changes import Cause
from controller.state.codec import encode
from controller.state.entities import AccessKey, ContainerInstance, JoinToken, QuarantinedTask
from tests.unit.api.conftest import Api
from tests.unit.api.test_registration import RESOURCES
from tests.unit.state.samples import task

KEYRING = Keyring(b"k" * 32)
FINGERPRINT = "sha256:" + "0f" * 32
SECRET = "m" * 40
ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/"
EXCHANGE = "exchange-number-one"


class Joining:
    """The operations and the exchange, on a state."""

    def __init__(self, api: Api) -> None:
        self.api = api
        source = random.Random(3)
        self.keys = InstanceKeys(KEYRING, api.state.names, source)
        self.tokens = JoinTokens(api.state.names, self.keys, source)
        self.operations = JoinOperations(self.tokens, self.keys, lambda: FINGERPRINT, Program(None))
        self.authenticator = Authenticator(api.state, KEYRING, api.clock, 300.0)

    def create(self, **members: Any) -> tuple[str, joining.JoinToken]:
        """A token: its id, and what its text says."""
        answer = self.operations.create_join_token(self.api.context(), CreateJoinToken(**members))
        return answer["id"], parse_token(answer["token"])

    def exchange(self, token: joining.JoinToken, **members: Any) -> IssuedCredentials:
        request = msgspec.structs.replace(
            JoinRequest(
                token_id=token.id, token_secret=token.secret, exchange_id=EXCHANGE, secret_access_key=SECRET
            ),
            **members,
        )
        with self.api.state.transaction(Cause(kind="request")) as transaction:
            return self.tokens.exchange(transaction, request, self.api.ids.hex32())

    def join(self, **members: Any) -> IssuedCredentials:
        return self.exchange(self.create()[1], **members)

    def renew(self, key_id: str, exchange: str = "renewal-number-one", secret: str = "n" * 40) -> str:
        context = self.api.context(Caller("arn", key_id, "agent", "default"))
        answer = self.operations.renew_agent_credentials(context, RenewAgentCredentials(exchange, secret))
        return str(answer["accessKeyId"])

    def caller(self, key_id: str, secret: str = SECRET) -> Caller:
        """Who a call is from that is signed with a key."""
        headers = sign(
            method="POST",
            url="http://controller.test/",
            headers={},
            body=b"",
            credentials=Credentials(key_id, secret),
            service="ecs",
            region="us-east-1",
            now=self.api.clock.now(),
        )
        return self.authenticator.authenticate({**headers, "host": "controller.test"}, "POST", "/", "", b"")

    async def register(self, caller: Caller, **members: Any) -> str:
        answer = await self.api.call(
            "RegisterContainerInstance", caller, cluster="default", totalResources=RESOURCES, **members
        )
        return str(answer["containerInstance"]["containerInstanceArn"])


@pytest.fixture
def joining_(api: Api) -> Joining:
    """The operations."""
    return Joining(api)


def test_a_token_says_where_to_join_and_shows_its_secret_only_in_its_text(joining_: Joining) -> None:
    id_, token = joining_.create(endpoint="https://controller.test:8480/")
    assert (token.url, token.cluster, token.region) == (
        "https://controller.test:8480",
        "default",
        "us-east-1",
    )
    assert token.fingerprint == FINGERPRINT
    stored = joining_.api.state.read().get(JoinToken, id_)
    assert stored is not None
    listed = joining_.operations.list_join_tokens(joining_.api.context(), ListJoinTokens())
    for text in (encode(stored), repr(stored), repr(token), str(listed)):
        assert token.secret not in text


@pytest.mark.parametrize("text", ["", "hpj1-", "hpj1-eyJ", "hpj1-ä", "AKIA", "hpj1-e30"])
def test_a_text_that_is_no_whole_token_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="join token"):
        parse_token(text)


def test_an_exchange_gives_a_key_of_one_container_instance_that_is_kept_encrypted(joining_: Joining) -> None:
    issued = joining_.join()
    assert issued.container_instance_arn.startswith(ARN)
    assert issued.expires_at == joining_.api.clock.now() + LIFETIME_S
    caller = joining_.caller(issued.access_key_id)
    assert (caller.role, caller.cluster) == ("agent", "default")
    assert ARN + caller.instance == issued.container_instance_arn
    stored = joining_.api.state.read().get(AccessKey, issued.access_key_id)
    assert stored is not None
    assert SECRET not in encode(stored)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ("used", "UsedJoinToken"),
        ("expired", "ExpiredJoinToken"),
        ("revoked", "RevokedJoinToken"),
        ("secret", "UnknownJoinToken"),
        ("id", "UnknownJoinToken"),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_what_to_do(
    joining_: Joining, spoil: str, code: str
) -> None:
    id_, token = joining_.create(lifetime_s=60.0)
    match spoil:
        case "used":
            joining_.exchange(token, exchange_id="another machine's")
        case "expired":
            joining_.api.clock.advance(60.0)
        case "revoked":
            joining_.operations.revoke_join_token(joining_.api.context(), RevokeJoinToken(id_))
        case "secret":
            token = msgspec.structs.replace(token, secret="0" * 64)
        case "id":
            token = msgspec.structs.replace(token, id="0" * 16)
    with pytest.raises(JoinRefused, match="'homeport token create'") as refused:
        joining_.exchange(token)
    assert (refused.value.code, refused.value.status) == (code, 403)


def test_a_token_is_good_for_as_many_machines_as_it_says(joining_: Joining) -> None:
    token = joining_.create(uses=2)[1]
    arns = {
        joining_.exchange(token, exchange_id=f"exchange-number-{n}").container_instance_arn for n in (1, 2)
    }
    assert len(arns) == 2
    with pytest.raises(JoinRefused, match="2 of 2 machines"):
        joining_.exchange(token, exchange_id="exchange-number-3")


async def test_an_exchange_is_answered_again_only_while_nobody_has_used_what_it_issued(
    joining_: Joining,
) -> None:
    token = joining_.create(uses=5)[1]
    issued = joining_.exchange(token)
    assert joining_.exchange(token) == issued
    with pytest.raises(JoinRefused, match="made already"):
        joining_.exchange(token, secret_access_key="x" * 40)
    await joining_.register(joining_.caller(issued.access_key_id))
    with pytest.raises(JoinRefused, match="homeport token revoke") as refused:
        joining_.exchange(token)
    assert refused.value.code == "RepeatedExchange"
    token = joining_.operations.list_join_tokens(joining_.api.context(), ListJoinTokens())["joinTokens"][0]
    assert (token["usedCount"], token["state"]) == (1, "good")


async def test_a_repetition_is_refused_after_the_credentials_were_renewed_too(joining_: Joining) -> None:
    token = joining_.create(uses=5)[1]
    first = joining_.exchange(token).access_key_id
    joining_.renew(joining_.renew(first), "renewal-number-two")
    with pytest.raises(JoinRefused, match="made already"):
        joining_.exchange(token)


@pytest.mark.parametrize(
    "members",
    [{"secret_access_key": "short"}, {"secret_access_key": "x" * 129}, {"exchange_id": ""}],
)
def test_an_exchange_that_cannot_be_used_costs_no_use(joining_: Joining, members: dict[str, Any]) -> None:
    token = joining_.create()[1]
    with pytest.raises(InvalidParameterException):
        joining_.exchange(token, **members)
    joining_.exchange(token)


def test_a_host_that_was_off_for_a_year_is_who_it_was_by_its_former_key(joining_: Joining) -> None:
    issued = joining_.join()
    joining_.api.clock.advance(365 * 86_400.0)
    with pytest.raises(ExpiredTokenException, match="homeport agent --token"):
        joining_.caller(issued.access_key_id)
    again = joining_.join(
        exchange_id="exchange-after-a-year",
        container_instance_arn=issued.container_instance_arn,
        former_key=FormerKey(issued.access_key_id, SECRET),
    )
    assert again.container_instance_arn == issued.container_instance_arn
    assert joining_.api.state.read().get(AccessKey, issued.access_key_id) is None


@pytest.mark.parametrize("former", [None, FormerKey("AKIAOTHER", SECRET), "wrong secret", "revoked"])
def test_who_cannot_prove_what_it_was_joins_as_a_new_container_instance(
    joining_: Joining, former: FormerKey | str | None
) -> None:
    issued = joining_.join()
    if former == "revoked":
        joining_.operations.revoke_agent_credentials(
            joining_.api.context(), RevokeAgentCredentials(issued.container_instance_arn)
        )
    if isinstance(former, str):
        former = FormerKey(issued.access_key_id, SECRET if former == "revoked" else "y" * 40)
    again = joining_.join(
        exchange_id="exchange-number-two",
        container_instance_arn=issued.container_instance_arn,
        former_key=former,
    )
    assert again.container_instance_arn != issued.container_instance_arn


@pytest.mark.parametrize(("machine", "stays"), [("m1", True), ("m2", False), ("", False)])
def test_a_machine_that_joined_with_the_clusters_key_is_known_by_its_machine_id(
    joining_: Joining, machine: str, stays: bool
) -> None:
    joining_.api.put(
        ContainerInstance(
            cluster="default",
            id="1" * 32,
            ec2_instance_id="mi-1",
            machine_id="m1",
            registered_at=0.0,
            cpu=1,
            memory=1,
        )
    )
    arn = ARN + "1" * 32
    issued = joining_.join(container_instance_arn=arn, machine_id=machine)
    assert (issued.container_instance_arn == arn) is stays


def test_renewed_credentials_follow_each_other_and_the_one_before_stays_good(joining_: Joining) -> None:
    first = joining_.join().access_key_id
    second = joining_.renew(first)
    assert joining_.renew(first) == second  # the answer was lost
    with pytest.raises(AccessDeniedException, match="made already"):
        joining_.renew(first, secret="z" * 40)
    assert joining_.caller(first).instance == joining_.caller(second, "n" * 40).instance
    third = joining_.renew(second, "renewal-number-two")
    with pytest.raises(UnrecognizedClientException):
        joining_.caller(first)
    assert third not in (first, second)


def test_an_unmodified_agent_still_gets_the_key_of_its_whole_cluster(joining_: Joining) -> None:
    bound = joining_.join().access_key_id
    operations = HomeportOperations(KEYRING, random.Random(5))
    pair = operations.ensure_agent_access_key(joining_.api.context(), EnsureAgentAccessKey())
    assert pair["accessKeyId"] != bound
    caller = joining_.caller(pair["accessKeyId"], pair["secretAccessKey"])
    assert (caller.cluster, caller.instance) == ("default", "")
    for instance in ("1" * 32, "2" * 32):
        authorise_connection(caller, "Poll", "default", instance)


def test_a_key_of_a_whole_cluster_is_not_renewed(joining_: Joining) -> None:
    joining_.api.put(
        AccessKey(id="AKIACLUSTER", role="agent", cluster="default", secret_ciphertext="", created_at=0.0)
    )
    with pytest.raises(AccessDeniedException, match="does not end"):
        joining_.renew("AKIACLUSTER")


def test_revoked_credentials_are_good_for_nothing_and_say_what_to_do(joining_: Joining) -> None:
    issued = joining_.join()
    instance = issued.container_instance_arn
    joining_.operations.revoke_agent_credentials(joining_.api.context(), RevokeAgentCredentials(instance))
    with pytest.raises(UnrecognizedClientException, match="of this container instance were revoked"):
        joining_.caller(issued.access_key_id)
    listed = joining_.operations.list_join_tokens(joining_.api.context(), ListJoinTokens())["credentials"]
    assert [entry["state"] for entry in listed] == ["revoked"]
    for unknown in (RevokeAgentCredentials("2" * 32), RevokeAgentCredentials(instance, "other")):
        with pytest.raises(ResourceNotFoundException):
            joining_.operations.revoke_agent_credentials(joining_.api.context(), unknown)
    with pytest.raises(ResourceNotFoundException):
        joining_.operations.revoke_join_token(joining_.api.context(), RevokeJoinToken("none"))


async def test_a_machine_registers_under_the_arn_that_it_joined_as(joining_: Joining) -> None:
    issued = joining_.join()
    caller = joining_.caller(issued.access_key_id)
    assert await joining_.register(caller) == issued.container_instance_arn
    again = await joining_.register(caller, containerInstanceArn=issued.container_instance_arn)
    assert again == issued.container_instance_arn


async def test_a_key_follows_a_machine_that_registers_as_a_new_container_instance(joining_: Joining) -> None:
    issued = joining_.join()
    caller = joining_.caller(issued.access_key_id)
    first = await joining_.register(caller)
    second = await joining_.register(caller)
    assert second != first
    assert ARN + joining_.caller(issued.access_key_id).instance == second


OTHER = ARN + "9" * 32
FOREIGN_TASK = task(id="f" * 32, instance="9" * 32)
FOREIGN_TASK_ARN = f"arn:aws:ecs:us-east-1:000000000000:task/default/{FOREIGN_TASK.id}"


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("DiscoverPollEndpoint", {"containerInstance": OTHER}),
        ("GetTaskProtection", {"tasks": [FOREIGN_TASK_ARN]}),
        ("ListTagsForResource", {"resourceArn": OTHER}),
        ("ListTagsForResource", {"resourceArn": FOREIGN_TASK_ARN}),
        ("ListTagsForResource", {"resourceArn": "arn:aws:ecs:us-east-1:000000000000:service/default/web"}),
        ("RegisterContainerInstance", {"containerInstanceArn": OTHER, "totalResources": RESOURCES}),
        ("UpdateContainerInstancesState", {"containerInstances": [OTHER], "status": "DRAINING"}),
        ("UpdateTaskProtection", {"tasks": [FOREIGN_TASK.id], "protectionEnabled": True}),
        ("SubmitTaskStateChange", {"task": FOREIGN_TASK_ARN, "status": "STOPPED"}),
        ("SubmitContainerStateChange", {"task": FOREIGN_TASK_ARN, "containerName": "c"}),
    ],
)
def test_nobody_acts_for_another_container_instance(
    joining_: Joining, operation: str, members: dict[str, Any]
) -> None:
    joining_.api.put(FOREIGN_TASK)
    context = joining_.api.context(joining_.caller(joining_.join().access_key_id))
    request = joining_.api.service.operations[operation].decode(
        msgspec.json.encode({"cluster": "default", **members})
    )
    with pytest.raises(ApiError) as refused:
        authorise_instance(context, operation, request)
    # An agent repeats a report for ever that is refused in another way than this.
    expected = "InvalidParameterException" if operation.startswith("Submit") else "AccessDeniedException"
    assert refused.value.code == expected


@pytest.mark.parametrize("operation", sorted(AGENT_OPERATIONS - {"Poll", "StartTelemetrySession"}))
def test_every_operation_of_agents_is_checked_for_the_instance(operation: str) -> None:
    assert operation in CHECKS


def test_an_agent_acts_for_its_own_container_instance_and_for_tasks_that_nobody_knows(
    joining_: Joining,
) -> None:
    issued = joining_.join()
    caller = joining_.caller(issued.access_key_id)
    own = task(id="e" * 32, instance=caller.instance)
    joining_.api.put(own)
    context = joining_.api.context(caller)
    own_arn = f"arn:aws:ecs:us-east-1:000000000000:task/default/{own.id}"
    for operation, members in (
        ("DiscoverPollEndpoint", {"containerInstance": issued.container_instance_arn}),
        ("DiscoverPollEndpoint", {}),
        ("GetTaskProtection", {"tasks": [own_arn]}),
        ("ListTagsForResource", {"resourceArn": issued.container_instance_arn}),
        ("ListTagsForResource", {"resourceArn": own_arn}),
        ("UpdateContainerInstancesState", {"containerInstances": [caller.instance], "status": "DRAINING"}),
        ("SubmitTaskStateChange", {"task": own_arn, "status": "RUNNING"}),
        ("SubmitTaskStateChange", {"task": own_arn.replace("e" * 32, "d" * 32), "status": "STOPPED"}),
    ):
        request = joining_.api.service.operations[operation].decode(
            msgspec.json.encode({"cluster": "default", **members})
        )
        authorise_instance(context, operation, request)


async def test_a_report_ends_the_quarantine_of_its_own_instances_tasks_alone(joining_: Joining) -> None:
    caller = joining_.caller(joining_.join().access_key_id)
    arn = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "a" * 32
    for instance in (caller.instance, "9" * 32):
        joining_.api.put(
            QuarantinedTask(
                cluster="default", instance=instance, task_arn=arn, family="f", version="1", first_seen_at=0.0
            )
        )
    await joining_.api.call("SubmitTaskStateChange", caller, cluster="default", task=arn, status="STOPPED")
    left = joining_.api.state.read().all(QuarantinedTask).values()
    assert [task.instance for task in left] == ["9" * 32]


def test_a_websocket_is_opened_for_the_own_container_instance_only(joining_: Joining) -> None:
    caller = joining_.caller(joining_.join().access_key_id)
    authorise_connection(caller, "Poll", "default", caller.instance)
    with pytest.raises(AccessDeniedException, match=r"are good for container instance \w+ alone"):
        authorise_connection(caller, "Poll", "default", "9" * 32)
    with pytest.raises(AccessDeniedException):
        authorise_connection(caller, "Poll", "other", caller.instance)


def test_tokens_that_ended_long_ago_are_forgotten(joining_: Joining) -> None:
    joining_.create()
    joining_.api.clock.advance(3600.0 + KEPT_AFTER_END_S + 1)
    id_, _ = joining_.create()
    assert list(joining_.api.state.read().all(JoinToken)) == [id_]


@pytest.mark.parametrize("members", [{"uses": 0}, {"uses": 1001}, {"lifetime_s": 1.0}, {"lifetime_s": 1e9}])
def test_a_token_that_would_hold_too_long_or_too_often_is_not_made(
    joining_: Joining, members: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameterException):
        joining_.create(**members)


def test_the_address_in_a_token_is_one_that_others_reach(api: Api) -> None:
    config = ControllerConfig(data_dir=api.config.data_dir, listen_host="127.0.0.1")
    assert reachable("http://127.0.0.1:8480", config) == "http://127.0.0.1:8480"
    config = ControllerConfig(data_dir=api.config.data_dir, listen_host="0.0.0.0")
    assert reachable("https://lab.test:8480", config) == "https://lab.test:8480"
    assert reachable("https://127.0.0.1:8480", config).endswith(":8480")
