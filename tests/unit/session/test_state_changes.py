"""State changes reach the controller in order, once, and until it has them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from agent.engine.changes import ContainerChange, NetworkBinding, TaskChange
from agent.session.api import ApiError, Unreachable
from agent.session.backoff import LIMIT_S
from agent.session.metrics import SessionMetrics
from agent.session.state_change_requests import cut, task_state_change_request
from agent.session.state_changes import IN_FLIGHT_LIMIT, StateChangeSubmitter
from tests.support.clock import FakeLoop
from tests.unit.session.fakes import FakeApi, FakeChanges

pytestmark = pytest.mark.fake_loop


@asynccontextmanager
async def submitting(api: FakeApi, changes: FakeChanges) -> AsyncIterator[None]:
    submitter = StateChangeSubmitter(
        client=api,
        changes=changes,
        cluster="default",
        exclude_ipv6=True,
        metrics=SessionMetrics(CollectorRegistry()),
        random=Random(7),
    )
    running = asyncio.create_task(submitter.run())
    try:
        yield
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.wait([running])


def refusal(code: str) -> ApiError:
    return ApiError("SubmitTaskStateChange", code, "no", 400)


def submitted(api: FakeApi) -> list[tuple[str, str]]:
    return [(request["task"], request["status"]) for _, _, request in api.calls]


async def test_a_change_is_submitted_once_and_marked_as_sent() -> None:
    api, changes = FakeApi({}), FakeChanges()
    async with submitting(api, changes):
        change = changes.make("t1", "RUNNING")
        await asyncio.sleep(60)
    assert [(operation, request["cluster"]) for _, operation, request in api.calls] == [
        ("SubmitTaskStateChange", "default")
    ]
    assert changes.sent == [change]


async def test_an_unreachable_controller_is_tried_for_ever_at_most_five_seconds_apart() -> None:
    api, changes = FakeApi(Unreachable("down")), FakeChanges()
    async with submitting(api, changes):
        changes.make("t1")
        await asyncio.sleep(6 * 3600)
        times = [at for at, _, _ in api.calls]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) <= LIMIT_S
        assert len(times) > 6 * 3600 / LIMIT_S
        assert min(gaps[10:]) < 0.2 < 4.8 < max(gaps), "the waits are spread over the whole range"
        api.answers = [{}]
        await asyncio.sleep(LIMIT_S)
    assert len(changes.sent) == 1


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ClientException", "ServerException", "ThrottlingException"]
)
async def test_every_other_refusal_is_tried_again(code: str) -> None:
    api, changes = FakeApi(refusal(code), refusal(code), {}), FakeChanges()
    async with submitting(api, changes):
        change = changes.make("t1")
        await asyncio.sleep(60)
    assert len(api.calls) == 3
    assert changes.sent == [change]


async def test_an_invalid_parameter_drops_that_change_and_only_that() -> None:
    api, changes = FakeApi(refusal("InvalidParameterException"), {}), FakeChanges()
    async with submitting(api, changes):
        dropped = changes.make("t1", "RUNNING")
        await asyncio.sleep(60)
        changes.make("t1", "STOPPED")
        await asyncio.sleep(60)
    assert submitted(api) == [("t1", "RUNNING"), ("t1", "STOPPED")]
    assert changes.sent[0] == dropped


async def test_a_task_that_is_refused_holds_up_no_other() -> None:
    def answer(_: str, request: Any) -> Any:
        return refusal("ClientException") if request["task"] == "bad" else {}

    api, changes = FakeApi(answer), FakeChanges()
    async with submitting(api, changes):
        changes.make("bad")
        await asyncio.sleep(1)
        for number in range(30):
            changes.make(f"t{number}")
        await asyncio.sleep(1)
        assert len(changes.sent) == 30


async def test_ten_submissions_at_most_are_in_flight_and_one_for_each_task() -> None:
    api, changes = FakeApi({}), FakeChanges()
    api.takes_s = 1.0
    async with submitting(api, changes):
        for number in range(35):
            changes.make(f"t{number}")
        await asyncio.sleep(0.5)
        changes.make("t0", "STOPPED")
        await asyncio.sleep(0.4)
        assert api.most_in_flight == IN_FLIGHT_LIMIT
        assert [task for task, _ in submitted(api)].count("t0") == 1
        await asyncio.sleep(10)
    assert api.most_in_flight == IN_FLIGHT_LIMIT
    assert [status for task, status in submitted(api) if task == "t0"] == ["RUNNING", "STOPPED"]
    assert len(api.calls) == 36


async def test_many_waiting_reports_do_not_storm_a_controller_that_is_away(fake_loop: FakeLoop) -> None:
    api, changes = FakeApi(Unreachable("down")), FakeChanges()
    async with submitting(api, changes):
        for number in range(200):
            changes.make(f"t{number}")
        await asyncio.sleep(600)
        attempts_per_second = len(api.calls) / 600
        assert attempts_per_second < 2 * IN_FLIGHT_LIMIT / LIMIT_S * 1.5
        api.answers = [{}]
        await asyncio.sleep(LIMIT_S)
        assert changes.unsent() == (), "all are sent within one wait after the controller is back"


async def test_a_retry_carries_what_is_newest_by_then() -> None:
    api, changes = FakeApi(Unreachable("down")), FakeChanges()
    async with submitting(api, changes):
        changes.make("t1", "PENDING")
        await asyncio.sleep(30)
        changes.make("t1", "RUNNING")
        changes.make("t1", "STOPPED")
        api.answers = [{}]
        await asyncio.sleep(10)
    assert submitted(api)[-1] == ("t1", "STOPPED")
    assert [change.status for change in changes.sent] == ["STOPPED"]


async def test_a_change_made_at_any_moment_is_never_forgotten() -> None:
    api, changes = FakeApi({}), FakeChanges()
    api.takes_s = 0.003
    async with submitting(api, changes):
        for step in range(400):
            changes.make("t1", "RUNNING", reason=str(step))
            await asyncio.sleep(0.001 * (step % 7))
        await asyncio.sleep(1)
        assert changes.unsent() == ()
    assert changes.sent[-1].reason == "399"


def test_a_change_becomes_the_request_that_ecs_knows() -> None:
    change = TaskChange(
        task_arn="t1",
        status="STOPPED",
        reason="Essential container in task exited",
        containers=(
            ContainerChange(
                name="app",
                status="STOPPED",
                runtime_id="d" * 64,
                image_digest="sha256:e",
                exit_code=0,
                reason="x",
                network_bindings=(
                    NetworkBinding("0.0.0.0", 80, 32768, "tcp"),
                    NetworkBinding("::", 80, 32768, "tcp"),
                ),
            ),
            ContainerChange(name="side", status="PENDING"),
        ),
        pull_started_at=1.25,
        execution_stopped_at=3.5,
    )
    assert msgspec.json.decode(
        msgspec.json.encode(task_state_change_request("c", change, exclude_ipv6=True))
    ) == {
        "cluster": "c",
        "task": "t1",
        "status": "STOPPED",
        "reason": "Essential container in task exited",
        "containers": [
            {
                "containerName": "app",
                "status": "STOPPED",
                "runtimeId": "d" * 64,
                "imageDigest": "sha256:e",
                "exitCode": 0,
                "reason": "x",
                "networkBindings": [
                    {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
                ],
            },
            {"containerName": "side", "status": "PENDING", "networkBindings": []},
        ],
        "pullStartedAt": 1.25,
        "executionStoppedAt": 3.5,
    }


def test_ipv6_bindings_are_reported_where_that_is_asked_for() -> None:
    change = TaskChange(
        "t",
        "RUNNING",
        containers=(ContainerChange("c", "RUNNING", network_bindings=(NetworkBinding("::", 1, 2, "tcp"),)),),
    )
    request = task_state_change_request("c", change, exclude_ipv6=False)
    assert [binding["bindIP"] for binding in request["containers"][0]["networkBindings"]] == ["::"]


def test_an_empty_reason_is_sent_and_long_texts_are_cut_to_ecs_limits() -> None:
    assert task_state_change_request("c", TaskChange("t", "RUNNING"), exclude_ipv6=True)["reason"] == ""
    long = "ä" * 2000
    container = ContainerChange("c", "STOPPED", runtime_id=long, image_digest=long, reason=long)
    request = task_state_change_request(
        "c", TaskChange("t", "STOPPED", long, (container,)), exclude_ipv6=True
    )
    assert len(request["reason"].encode()) == 1024
    cut_container = request["containers"][0]
    assert len(cut_container["reason"].encode()) == 1024
    assert len(cut_container["runtimeId"].encode()) == 254
    assert len(cut_container["imageDigest"].encode()) == 254


@given(st.text(), st.integers(0, 40))
def test_cutting_leaves_the_longest_valid_beginning(text: str, limit: int) -> None:
    result = cut(text, limit)
    assert text.startswith(result)
    assert len(result.encode()) <= limit
    assert result == text or len(text[: len(result) + 1].encode()) > limit
