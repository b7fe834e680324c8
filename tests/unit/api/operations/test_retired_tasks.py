"""ListTasks over tasks that have retired to the history."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.operations.tasks import listing
from controller.state.changes import Cause
from controller.state.entities import Cluster, Service, Task


def stopped(api: Any, number: int, *, retire: bool = True, **changes: Any) -> str:
    """The ARN of a STOPPED task."""
    task = Task(
        **{
            "cluster": "default",
            "id": f"{number:032x}",
            "family": "web",
            "revision": 1,
            "instance": f"{1:032x}",
            "desired_status": "STOPPED",
            "reported_status": "STOPPED",
            "created_at": api.clock.now(),
            **changes,
        }
    )
    with api.state.transaction(Cause("timer")) as transaction:
        transaction.put(task, "stopped")
        if retire:
            api.state.history.retire_task(transaction, task)
    arn: str = api.read.names.task(task)
    return arn


async def listed(api: Any, **request: Any) -> list[str]:
    """ARNs of STOPPED tasks, over as many pages as there are."""
    arns: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = await api("ListTasks", **{"desiredStatus": "STOPPED", **request, **token})
        arns += answer["taskArns"]
        if "nextToken" not in answer:
            return arns
        token = {"nextToken": answer["nextToken"]}


async def test_stopped_tasks_are_listed_wherever_they_are_kept(api: Any) -> None:
    api.put(Cluster(name="default-2", created_at=0.0))
    arns = [stopped(api, number, retire=bool(number % 3)) for number in range(10)]
    stopped(api, 99, cluster="default-2")
    assert await listed(api) == arns
    assert await listed(api, maxResults=3) == arns
    assert (await api("ListTasks"))["taskArns"] == []


async def test_every_filter_holds_for_retired_tasks_too(api: Any) -> None:
    api.put(Service(cluster="default", name="web", created_at=0.0))
    plain = stopped(api, 1)
    other = stopped(api, 2, family="db", service="web", instance=f"{2:032x}", started_by="me")
    fargate = stopped(api, 3, launch_type="FARGATE")
    assert await listed(api, family="db") == [other]
    assert await listed(api, serviceName="web") == [other]
    assert await listed(api, containerInstance=f"{2:032x}") == [other]
    assert await listed(api, startedBy="me") == [other]
    assert await listed(api, launchType="FARGATE") == [fargate]
    assert await listed(api, family="web", launchType="EC2") == [plain]
    assert await listed(api, daemonName="x") == []


async def test_a_long_history_is_read_in_portions_and_nothing_is_listed_twice_or_left_out(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH", 4)
    monkeypatch.setattr(listing, "MAX_READ", 8)
    arns = [
        stopped(api, number, retire=number % 7 != 0, family="rare" if number % 10 == 5 else "web")
        for number in range(60)
    ]
    assert await listed(api) == arns
    assert await listed(api, maxResults=2) == arns
    assert await listed(api, family="rare") == arns[5::10]


async def test_tasks_that_retire_between_pages_are_listed_once(api: Any) -> None:
    arns = [stopped(api, number, retire=False) for number in range(6)]
    first = await api("ListTasks", desiredStatus="STOPPED", maxResults=2)
    with api.state.transaction(Cause("timer")) as transaction:
        for arn in arns:
            api.state.history.retire_task(transaction, api.task(arn))
    assert first["taskArns"] + await listed(api, nextToken=first["nextToken"]) == arns
