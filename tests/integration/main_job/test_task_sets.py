"""Task sets on a real engine: a share of a service's tasks each, moved, and gone when they are deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.main_job.homeport import Homeport
from tests.integration.main_job.test_services import web

pytestmark = pytest.mark.engine

SERVICE = {"service": "web"}


def described(homeport: Homeport) -> dict[str, dict[str, Any]]:
    """The task sets of the service by their external ids."""
    answer = homeport.ecs("DescribeTaskSets", **SERVICE)
    return {item["externalId"]: item for item in answer["taskSets"]}


def create(homeport: Homeport, name: str, percent: float, version: str) -> str:
    """Create a task set; its id."""
    answer = homeport.ecs(
        "CreateTaskSet",
        **SERVICE,
        externalId=name,
        taskDefinition=homeport.register("web", web(version)),
        scale={"value": percent, "unit": "PERCENT"},
    )
    return str(answer["taskSet"]["id"])


def test_a_service_moves_from_one_task_set_to_another(homeport: Homeport) -> None:
    homeport.ecs(
        "CreateService", serviceName="web", desiredCount=2, deploymentController={"type": "EXTERNAL"}
    )
    blue = create(homeport, "blue", 100.0, "1")
    green = create(homeport, "green", 50.0, "2")
    homeport.eventually(
        lambda: {item["stabilityStatus"] for item in described(homeport).values()} == {"STEADY_STATE"},
        "both task sets are steady",
    )
    counts = {name: item["runningCount"] for name, item in described(homeport).items()}
    assert counts == {"blue": 2, "green": 1}
    assert sorted(task["startedBy"] for task in homeport.tasks()) == sorted([blue, blue, green])
    assert homeport.agrees_with_the_engine()

    homeport.ecs("UpdateServicePrimaryTaskSet", **SERVICE, primaryTaskSet=green)
    homeport.ecs("UpdateTaskSet", **SERVICE, taskSet=green, scale={"value": 100.0, "unit": "PERCENT"})
    homeport.ecs("DeleteTaskSet", **SERVICE, taskSet=blue, force=True)
    homeport.eventually(lambda: described(homeport).keys() == {"green"}, "the blue task set is gone")
    homeport.eventually(lambda: described(homeport)["green"]["runningCount"] == 2, "the green one has grown")
    homeport.eventually(homeport.agrees_with_the_engine, "the old containers are gone")
    assert {task["startedBy"] for task in homeport.tasks()} == {green}
