"""Every waiter of the installed model against live state: what it waits for happens while it waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.conformance.played_agent import PlayedAgent
from tests.support.processes import wait_until

PATIENCE = {"Delay": 0.25, "MaxAttempts": 120}
"""Waits as often as a client would, but not as long in between."""

AWS_ONLY = {
    "DaemonActive",
    "DaemonDeploymentStopped",
    "DaemonDeploymentSuccessful",
    "DaemonTaskDefinitionActive",
    "DaemonTaskDefinitionDeleted",
}
"""Managed daemons run on AWS's own instances."""


class Stage:
    """A cluster with a played agent and a task definition, and a waiter that waits there."""

    def __init__(self, ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
        self.ecs = ecs
        self.cluster = cluster
        self.family = family
        self.agent = agent

    def service(self, name: str = "web", desired_count: int = 2) -> str:
        """Create a service."""
        self.ecs.create_service(
            cluster=self.cluster, serviceName=name, taskDefinition=self.family, desiredCount=desired_count
        )
        return name

    def task(self) -> str:
        """Run a task; its ARN."""
        (task,) = self.ecs.run_task(cluster=self.cluster, taskDefinition=self.family)["tasks"]
        arn: str = task["taskArn"]
        return arn

    def wait(self, waiter: str, **arguments: Any) -> None:
        """Wait. Raises WaiterError where the waiter gives up."""
        self.ecs.get_waiter(_method(waiter)).wait(cluster=self.cluster, WaiterConfig=PATIENCE, **arguments)

    def wait_while(self, act: Callable[[], object], waiter: str, **arguments: Any) -> None:
        """Wait, and act again and again meanwhile. The waiter must not be content before the first act."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.wait, waiter, **arguments)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=2 * PATIENCE["Delay"])
            wait_until(lambda: act() or waiting.done(), f"{waiter} comes to its end")
            waiting.result()

    def assert_gives_up(self, waiter: str, **arguments: Any) -> None:
        """The waiter ends at its first look, in failure, and not for want of time."""
        with pytest.raises(WaiterError, match="terminal failure"):
            self.wait(waiter, **arguments)


@pytest.fixture
def stage(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> Stage:
    """A cluster with everything that waiters look at."""
    return Stage(ecs, cluster, family, agent)


def _services_stable(stage: Stage) -> None:
    name = stage.service()
    stage.wait_while(stage.agent.run_everything, "ServicesStable", services=[name])
    stage.ecs.update_service(cluster=stage.cluster, service=name, desiredCount=3)
    stage.wait_while(stage.agent.run_everything, "ServicesStable", services=[name])
    stage.assert_gives_up("ServicesStable", services=[name, "missing"])
    stage.ecs.delete_service(cluster=stage.cluster, service=name, force=True)
    stage.assert_gives_up("ServicesStable", services=[name])
    stage.wait_while(stage.agent.run_everything, "ServicesInactive", services=[name])
    stage.assert_gives_up("ServicesStable", services=[name])


def _services_inactive(stage: Stage) -> None:
    name = stage.service()
    stage.ecs.delete_service(cluster=stage.cluster, service=name, force=True)
    stage.wait_while(stage.agent.run_everything, "ServicesInactive", services=[name])
    stage.wait("ServicesInactive", services=[name])
    stage.assert_gives_up("ServicesInactive", services=["missing"])


def _tasks_running(stage: Stage) -> None:
    tasks = [stage.task(), stage.task()]
    stage.wait_while(stage.agent.run_everything, "TasksRunning", tasks=tasks)
    stage.ecs.stop_task(cluster=stage.cluster, task=tasks[0])
    stage.agent.report(tasks[0], "STOPPED")
    stage.assert_gives_up("TasksRunning", tasks=tasks)
    stage.assert_gives_up("TasksRunning", tasks=["0" * 32])


def _tasks_stopped(stage: Stage) -> None:
    tasks = [stage.task(), stage.task()]
    stage.agent.run_everything()
    for task in tasks:
        stage.ecs.stop_task(cluster=stage.cluster, task=task)
    stage.wait_while(stage.agent.run_everything, "TasksStopped", tasks=tasks)
    stage.wait("TasksStopped", tasks=tasks)


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "ServicesInactive": _services_inactive,
    "ServicesStable": _services_stable,
    "TasksRunning": _tasks_running,
    "TasksStopped": _tasks_stopped,
}


@cache
def waiters() -> tuple[str, ...]:
    """Every waiter of the installed model."""
    return tuple(botocore.session.get_session().get_waiter_model("ecs").waiter_names)


def _method(waiter: str) -> str:
    return str(botocore.xform_name(waiter))


def test_every_waiter_of_the_model_is_tried_or_named_as_aws_only() -> None:
    assert set(waiters()) == SCENARIOS.keys() | AWS_ONLY


@pytest.mark.parametrize("waiter", SCENARIOS)
def test_a_waiter_sees_what_it_waits_for(stage: Stage, waiter: str) -> None:
    SCENARIOS[waiter](stage)


def test_a_waiter_sees_a_service_with_task_sets_end(stage: Stage) -> None:
    external = {"cluster": stage.cluster, "service": "external"}
    stage.ecs.create_service(
        cluster=stage.cluster,
        serviceName="external",
        desiredCount=1,
        deploymentController={"type": "EXTERNAL"},
    )
    created = stage.ecs.create_task_set(**external, taskDefinition=stage.family, scale={"value": 100.0})
    tasks = {"cluster": stage.cluster, "startedBy": created["taskSet"]["id"]}
    wait_until(lambda: stage.ecs.list_tasks(**tasks)["taskArns"], "the task set has started its task")
    stage.ecs.delete_service(**external, force=True)
    stage.wait_while(stage.agent.run_everything, "ServicesInactive", services=["external"])


@pytest.mark.parametrize("waiter", sorted(AWS_ONLY))
def test_a_waiter_of_something_aws_only_ends_at_once(ecs: Any, waiter: str) -> None:
    model = botocore.session.get_session().get_waiter_model("ecs").get_waiter(waiter)
    shape = ecs.meta.service_model.operation_model(model.operation).input_shape
    arn = "arn:aws:ecs:us-east-1:000000000000:daemon/default/log"
    arguments = {
        name: [arn] if shape.members[name].type_name == "list" else arn for name in shape.required_members
    }
    with pytest.raises((WaiterError, ClientError), match=r"UnsupportedFeatureException|not available"):
        ecs.get_waiter(_method(waiter)).wait(WaiterConfig=PATIENCE, **arguments)
