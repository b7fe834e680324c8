"""`POST /` as clients see it: over HTTP, signed, on a real state."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.protocol.signing import Credentials, sign
from controller.api.access_keys import KeyPair, ensure_agent_key, ensure_root_key
from controller.api.authentication import Authenticator
from controller.api.context import Handler, IdSource, RequestContext
from controller.api.dispatch import ecs_service, homeport_service, sts_service
from controller.api.front_door import FrontDoor
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.homeport import HomeportOperations
from controller.api.operations.sts import STS_OPERATIONS
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.api.protocols import STS_NAMESPACE
from controller.api.service_model import ServiceModel
from controller.config import ControllerConfig
from controller.keyring import Keyring
from controller.state.changes import Cause
from controller.state.entities import AccessKey, Cluster, Document, QuarantinedTask
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.interface import FlushBatch, StoreError
from controller.state.store.sqlite import SqliteStore
from controller.telemetry.metrics import ControllerMetrics
from tests.support.clock import FakeClock

TARGET = "AmazonEC2ContainerServiceV20141113"
FORM = "application/x-www-form-urlencoded"
IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"
LENT = "ListAccountSettings"
"""An operation of the model that tests lend a handler of their own."""


class GatedStore(SqliteStore):
    """A store whose flushes wait while the gate is shut."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, account="000000000000", region="us-east-1")
        self.gate = threading.Event()
        self.gate.set()

    def flush(self, batch: FlushBatch) -> None:
        assert self.gate.wait(10)
        super().flush(batch)


class Answer:
    """A response, read."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Status, code and message, after checking that they agree."""
        document = self.document
        assert self.headers["x-amzn-ErrorType"] == document["__type"]
        assert self.headers["x-amzn-RequestId"]
        return f"{self.status} {document['__type']}: {document['message']}"


class Door:
    """A front door that listens."""

    def __init__(
        self, client: TestClient[Any, Any], state: State, store: GatedStore, clock: FakeClock
    ) -> None:
        self.client = client
        self.state = state
        self.store = store
        self.clock = clock
        self.keyring = Keyring(b"k" * 32)
        self.random = random.Random(3)
        with state.transaction(Cause(kind="start")) as transaction:
            transaction.put(Cluster(name="default", created_at=0.0))
            transaction.put(Cluster(name="edge", created_at=0.0))
            self.root = ensure_root_key(transaction, self.keyring, self.random, None)
            self.agent = ensure_agent_key(transaction, self.keyring, self.random, "default")

    async def call(
        self,
        target: str,
        body: bytes | dict[str, Any] = b"{}",
        *,
        key: KeyPair | None = None,
        service: str = "ecs",
        skew_s: float = 0.0,
        change: Callable[[dict[str, str]], None] = lambda _: None,
        content_type: str = "application/x-amz-json-1.1",
    ) -> Answer:
        """Sign a call and make it; `change` spoils its headers after signing."""
        key = key or self.root
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        if target:
            headers["X-Amz-Target"] = target if "." in target else f"{TARGET}.{target}"
        headers |= sign(
            method="POST",
            url=str(self.client.make_url("/")),
            headers=headers,
            body=payload,
            credentials=Credentials(key.access_key_id, key.secret_access_key),
            service=service,
            region="us-east-1",
            now=self.clock.now() + skew_s,
        )
        change(headers)
        async with self.client.post("/", data=payload, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())


OpenDoor = Callable[..., Any]


@pytest.fixture
def open_door(tmp_path: Path, clock: FakeClock, model: ServiceModel) -> OpenDoor:
    """Open a front door; `handler` stands in for the operation `LENT`, settings are the config's."""

    @asynccontextmanager
    async def open_(handler: Handler | None = None, **settings: Any) -> AsyncIterator[Door]:
        config = replace(ControllerConfig(tmp_path), **settings)
        store = GatedStore(tmp_path / "state.db")
        state = await open_state(store, clock)
        flushing = asyncio.create_task(state.run())
        handlers = dict(ECS_OPERATIONS) | ({LENT: handler} if handler else {})
        keyring = Keyring(b"k" * 32)
        homeport = HomeportOperations(keyring, random.Random(5))
        services = (
            ecs_service(model, handlers, TYPED_OPERATIONS),
            homeport_service(homeport.typed()),
            sts_service(STS_OPERATIONS),
        )
        front_door = FrontDoor(
            state=state,
            authenticator=Authenticator(state, keyring, clock, config.signature_tolerance_s),
            services={service.signing_name: service for service in services},
            config=config,
            clock=clock,
            ids=IdSource(random.Random(1)),
            signs_of_life=lambda _cluster, _instance: None,
            metrics=ControllerMetrics(state).api,
        )
        app = web.Application(client_max_size=config.max_body_bytes)
        app.add_routes([web.post("/", front_door.handle)])
        async with TestClient(TestServer(app)) as client:
            yield Door(client, state, store, clock)
        flushing.cancel()
        with suppress(asyncio.CancelledError):
            await flushing
        await state.close()

    return open_


@pytest.fixture
async def door(open_door: OpenDoor) -> AsyncIterator[Door]:
    """A front door with default settings."""
    async with open_door() as opened:
        yield opened


async def test_a_signed_call_is_answered_with_a_request_id(door: Door) -> None:
    answer = await door.call("ListClusters")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-RequestId"]) == 36
    assert len(answer.document["clusterArns"]) == 2


def without(name: str) -> Callable[[dict[str, str]], None]:
    def change(headers: dict[str, str]) -> None:
        del headers[name]

    return change


def replaced(name: str, old: str, new: str) -> Callable[[dict[str, str]], None]:
    return lambda headers: headers.update({name: headers[name].replace(old, new)})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (without("Authorization"), "403 MissingAuthenticationTokenException: Missing Authentication Token"),
        (replaced("Authorization", "Signature=", "Sig="), "400 IncompleteSignatureException: "),
        (replaced("Authorization", "AWS4-HMAC-SHA256", "Bearer"), "400 IncompleteSignatureException: "),
        (
            replaced("Authorization", "AKIA", "AKIB"),
            "400 UnrecognizedClientException: The security token included in the request is invalid.",
        ),
        (
            replaced("X-Amz-Target", "ListClusters", "ListServices"),
            "403 InvalidSignatureException: The request signature we calculated does not match",
        ),
        (
            replaced("Authorization", "Signature=", "Signature=ä"),
            "403 InvalidSignatureException: The request signature we calculated does not match",
        ),
    ],
)
async def test_a_bad_signature_is_told_apart(door: Door, change: Any, error: str) -> None:
    answer = await door.call("ListClusters", change=change)
    assert answer.error.startswith(error)


async def test_a_wrong_secret_is_an_invalid_signature(door: Door) -> None:
    answer = await door.call("ListClusters", key=KeyPair(door.root.access_key_id, "x" * 40))
    assert answer.error.startswith("403 InvalidSignatureException: The request signature we calculated")


async def test_a_signature_of_another_time_is_told_with_both_times(door: Door) -> None:
    assert (await door.call("ListClusters", skew_s=-299)).status == 200
    assert (await door.call("ListClusters", skew_s=299)).status == 200
    past = await door.call("ListClusters", skew_s=-301)
    assert past.error.startswith(
        "403 InvalidSignatureException: Signature expired: 20251231T235459Z is now earlier"
    )
    future = await door.call("ListClusters", skew_s=301)
    assert future.error.startswith(
        "403 InvalidSignatureException: Signature not yet current: 20260101T000501Z"
    )


async def test_a_disabled_key_is_not_recognised(door: Door) -> None:
    key = door.state.read().get(AccessKey, door.agent.access_key_id)
    assert key is not None
    with door.state.transaction(Cause(kind="start")) as transaction:
        transaction.put(msgspec.structs.replace(key, enabled=False))
    answer = await door.call("DiscoverPollEndpoint", key=door.agent)
    assert answer.error.startswith("400 UnrecognizedClientException")


@pytest.mark.parametrize(
    ("target", "service", "error"),
    [
        ("", "ecs", "400 UnknownOperationException: The X-Amz-Target header is missing"),
        ("MakeCoffee", "ecs", "400 UnknownOperationException: "),
        ("Other.ListClusters", "ecs", "400 UnknownOperationException: "),
        ("ListClusters", "homeport", "400 UnknownOperationException: "),
        ("ListClusters", "s3", "400 UnknownOperationException: This controller does not serve 's3'"),
        (
            "CreateDaemon",
            "ecs",
            "400 UnsupportedFeatureException: CreateDaemon is not available on this controller: managed",
        ),
    ],
)
async def test_what_is_not_here_is_said_clearly(door: Door, target: str, service: str, error: str) -> None:
    assert (await door.call(target, service=service)).error.startswith(error)


async def ask_sts(door: Door, form: bytes, **changes: Any) -> tuple[int, dict[str, str]]:
    """Status and elements of STS's answer to a form, after checking that both name the same request."""
    answer = await door.call("", form, **{"service": "sts", "content_type": FORM, **changes})
    assert answer.headers["Content-Type"] == "text/xml"
    elements = {
        element.tag.removeprefix(f"{{{STS_NAMESPACE}}}"): element.text or ""
        for element in ElementTree.fromstring(answer.body).iter()
    }
    assert elements.pop("RequestId") == answer.headers["x-amzn-RequestId"]
    return answer.status, elements


async def test_sts_tells_every_caller_who_they_are(door: Door) -> None:
    status, root = await ask_sts(door, IDENTITY)
    assert status == 200
    assert root["Account"] == "000000000000"
    assert root["Arn"] == "arn:aws:iam::000000000000:user/administrator"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", root["UserId"])
    status, agent = await ask_sts(door, IDENTITY, key=door.agent)
    assert status == 200
    assert agent["Arn"] == "arn:aws:iam::000000000000:user/agent/default"
    assert agent["UserId"] != root["UserId"]
    assert (await ask_sts(door, IDENTITY))[1] == root


@pytest.mark.parametrize(
    ("form", "changes", "status", "code", "message"),
    [
        (
            b"Action=AssumeRole&Version=2011-06-15",
            {},
            400,
            "InvalidAction",
            "Could not find operation AssumeRole for version 2011-06-15",
        ),
        (b"Action=A%01%F0&Version=2011-06-15", {}, 400, "InvalidAction", "Could not find operation A?\ufffd"),
        (b"Action=GetCallerIdentity&Version=1", {}, 400, "InvalidAction", "for version 1"),
        (b"Action=GetCallerIdentity", {}, 400, "InvalidAction", "for version NO_VERSION_SPECIFIED"),
        (b"", {}, 400, "MissingAction", "Missing Action"),
        (b"{}", {"content_type": "application/json"}, 400, "MissingAction", "Missing Action"),
        (IDENTITY, {"service": "iam"}, 400, "InvalidAction", "does not serve 'iam'"),
        (IDENTITY, {"skew_s": -400}, 403, "SignatureDoesNotMatch", "Signature expired"),
        (
            IDENTITY,
            {"key": KeyPair("AKIAUNKNOWN", "x")},
            400,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        (
            IDENTITY,
            {"change": lambda headers: headers.pop("Authorization")},
            403,
            "MissingAuthenticationToken",
            "Missing Authentication Token",
        ),
    ],
)
async def test_errors_of_the_query_protocol_are_xml_and_named_as_sts_names_them(
    door: Door, form: bytes, changes: dict[str, Any], status: int, code: str, message: str
) -> None:
    refused, elements = await ask_sts(door, form, **changes)
    assert (refused, elements["Code"], elements["Type"]) == (status, code, "Sender")
    assert message in elements["Message"]


async def test_every_operation_of_the_model_answers_nonsense_without_failing(
    door: Door, model: ServiceModel
) -> None:
    for operation in sorted(model.operations):
        for body in (b"{}", b"", b"[1]", b'{"cluster": "nope", "service": "x", "task": "x"}'):
            answer = await door.call(operation, body)
            assert answer.status in (200, 400), f"{operation} {body!r}: {answer.body!r}"


@pytest.mark.parametrize(
    ("operation", "body", "allowed"),
    [
        ("DiscoverPollEndpoint", {}, True),
        ("DiscoverPollEndpoint", {"cluster": "default"}, True),
        ("DiscoverPollEndpoint", {"cluster": "arn:aws:ecs:us-east-1:000000000000:cluster/default"}, True),
        ("DiscoverPollEndpoint", {"cluster": "edge"}, False),
        ("SubmitTaskStateChange", {"task": "x", "status": "RUNNING"}, True),
        ("SubmitTaskStateChange", {"cluster": "edge", "task": "x", "status": "RUNNING"}, False),
        ("CreateCluster", {}, True),
        ("CreateCluster", {"clusterName": "edge"}, False),
        ("CreateCluster", {"clusterName": "mine"}, False),
        ("ListClusters", {}, False),
        ("RunTask", {"taskDefinition": "x"}, False),
        ("ListTagsForResource", {"resourceArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default"}, False),
        (
            "ListTagsForResource",
            {"resourceArn": "arn:aws:ecs:us-east-1:000000000000:task/edge/" + "1" * 32},
            False,
        ),
    ],
)
async def test_an_agent_key_does_what_agents_do_in_its_cluster_and_no_more(
    door: Door, operation: str, body: dict[str, Any], allowed: bool
) -> None:
    answer = await door.call(operation, body, key=door.agent)
    if allowed:
        assert answer.status == 200
    else:
        assert answer.error.startswith(
            "400 AccessDeniedException: User: arn:aws:iam::000000000000:user/agent/default is not authorized "
            f"to perform: ecs:{operation} on resource: *"
        )


async def test_an_agent_key_may_not_ask_for_other_keys(door: Door) -> None:
    answer = await door.call("HomeportV1.EnsureAgentAccessKey", service="homeport", key=door.agent)
    assert "perform: homeport:EnsureAgentAccessKey" in answer.error


async def test_the_agent_key_of_a_cluster_is_made_once(door: Door) -> None:
    body = {"cluster": "edge"}
    first = await door.call("HomeportV1.EnsureAgentAccessKey", body, service="homeport")
    again = await door.call("HomeportV1.EnsureAgentAccessKey", body, service="homeport")
    assert first.document == again.document
    assert first.document["cluster"] == "edge"
    key = KeyPair(first.document["accessKeyId"], first.document["secretAccessKey"])
    assert (await door.call("DiscoverPollEndpoint", body, key=key)).status == 200


async def test_quarantined_tasks_are_listed_page_by_page(door: Door) -> None:
    with door.state.transaction(Cause(kind="start")) as transaction:
        for number in range(3):
            transaction.put(
                QuarantinedTask(
                    cluster="edge",
                    instance="1" * 32,
                    task_arn=f"arn:{number}",
                    family="web",
                    first_seen_at=5.0,
                )
            )
    seen = []
    body: dict[str, Any] = {"cluster": "edge", "maxResults": 2}
    while True:
        answer = (await door.call("HomeportV1.ListQuarantinedTasks", body, service="homeport")).document
        seen += answer["quarantinedTasks"]
        if "nextToken" not in answer:
            break
        body["nextToken"] = answer["nextToken"]
    assert [task["taskArn"] for task in seen] == ["arn:0", "arn:1", "arn:2"]
    assert seen[0] == {
        "taskArn": "arn:0",
        "containerInstanceArn": "arn:aws:ecs:us-east-1:000000000000:container-instance/edge/" + "1" * 32,
        "family": "web",
        "version": "",
        "firstSeenAt": 5.0,
    }


async def test_our_own_operations_check_their_input(door: Door) -> None:
    answer = await door.call("HomeportV1.ListQuarantinedTasks", {"maxResults": "x"}, service="homeport")
    assert answer.error.startswith("400 SerializationException: Expected `int | null`")


async def test_a_fault_in_a_handler_is_a_server_error_and_leaves_nothing_behind(
    open_door: OpenDoor, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(context: RequestContext, request: Document) -> Document:
        with context.transaction() as transaction:
            transaction.put(Cluster(name="half", created_at=0.0))
            raise KeyError("oops")

    async with open_door(broken) as door:
        answer = await door.call(LENT)
        assert answer.error.startswith("500 ServerException: Internal error")
        assert answer.headers["x-amzn-RequestId"] in answer.document["message"]
        assert "oops" not in answer.document["message"]
        assert door.state.read().get(Cluster, "half") is None
        assert (await door.call("ListClusters")).status == 200


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (StoreUnavailable(), "500 ServerException: The controller's store cannot be used"),
        (StoreError("disk"), "500 ServerException: The controller's store cannot be used"),
        (TooManyPendingWrites(), "400 ThrottlingException: Rate exceeded"),
    ],
)
async def test_trouble_of_the_store_is_told_so_that_clients_try_again(
    open_door: OpenDoor, failure: Exception, error: str
) -> None:
    def failing(context: RequestContext, request: Document) -> Document:
        raise failure

    async with open_door(failing) as door:
        assert (await door.call(LENT)).error.startswith(error)


async def test_one_call_too_many_is_throttled_and_the_others_go_on(open_door: OpenDoor) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(context: RequestContext, request: Document) -> Document:
        entered.set()
        await release.wait()
        return {"settings": []}

    async with open_door(slow, max_requests_in_flight=1) as door:
        first = asyncio.create_task(door.call(LENT))
        await entered.wait()
        assert (await door.call("ListClusters")).error == "400 ThrottlingException: Rate exceeded"
        release.set()
        assert (await first).status == 200
        assert (await door.call("ListClusters")).status == 200


async def test_a_body_beyond_the_bound_is_refused(open_door: OpenDoor) -> None:
    async with open_door(max_body_bytes=1000) as door:
        answer = await door.call("ListClusters", b" " * 2000)
        assert answer.error.startswith("413 RequestEntityTooLargeException")


async def test_an_answer_waits_until_what_it_wrote_or_read_is_durable(door: Door) -> None:
    door.store.gate.clear()
    writing = asyncio.create_task(door.call("CreateCluster", {"clusterName": "new"}))
    while door.state.read().get(Cluster, "new") is None:
        await asyncio.sleep(0)
    reading = asyncio.create_task(door.call("DescribeClusters", {"clusters": ["new"]}))
    refused = asyncio.create_task(door.call("DeleteCluster", {"cluster": "new"}))
    done, _ = await asyncio.wait([writing, reading, refused], timeout=0.3)
    assert not done
    door.store.gate.set()
    assert (await writing).status == 200
    assert (await reading).document["failures"] == []
    assert (await refused).status == 200


async def test_a_call_with_nothing_to_wait_for_is_answered_while_a_flush_hangs(door: Door) -> None:
    door.store.gate.clear()
    writing = asyncio.create_task(door.call("CreateCluster", {"clusterName": "new"}))
    while door.state.read().get(Cluster, "new") is None:
        await asyncio.sleep(0)
    assert (await door.call("DiscoverPollEndpoint", {"cluster": "default"})).status == 200
    door.store.gate.set()
    await writing
