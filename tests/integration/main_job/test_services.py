"""The main job on a real engine: services are made, watched, replaced, updated and removed."""

from __future__ import annotations

import urllib.request

import pytest

from tests.integration.main_job.homeport import Answer, Homeport

pytestmark = pytest.mark.engine


def web(version: str = "1") -> Answer:
    """A web server's container definition."""
    return {
        "name": "web",
        "command": ["httpd", "-f", "-p", "80", "-h", "/www"],
        "portMappings": [{"containerPort": 80}],
        "environment": [{"name": "VERSION", "value": version}],
        "stopTimeout": 2,
    }


def page(task: Answer) -> str:
    """What a task's web server answers."""
    port = task["containers"][0]["networkBindings"][0]["hostPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode())


def test_a_service_of_two_tasks_answers_over_http_and_says_so(homeport: Homeport) -> None:
    service = homeport.create_service("web", homeport.register("web", web()), 2)
    assert [page(task) for task in homeport.tasks()] == ["hello from homeport\n"] * 2
    homeport.eventually(
        lambda: any(
            "has reached a steady state." in event["message"] for event in homeport.service("web")["events"]
        ),
        "the steady state is announced",
    )
    events = [event["message"] for event in homeport.service("web")["events"]]
    assert any(message.startswith("(service web) has started 2 tasks: (task ") for message in events)
    assert service["deployments"][0]["status"] == "PRIMARY"
    assert homeport.agrees_with_the_engine()


def test_a_killed_container_is_replaced_by_a_new_task(homeport: Homeport) -> None:
    homeport.create_service("web", homeport.register("web", web()), 2)
    before = homeport.containers()
    victim, container_id = next(iter(before.items()))
    homeport.engine.api.kill(container_id)
    homeport.eventually(
        lambda: victim not in homeport.containers() and len(homeport.containers()) == 2, "replaced"
    )
    homeport.wait_until_stable("web")
    stopped = homeport.task(victim)
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert stopped["containers"][0]["exitCode"] == 137
    survivors = set(before) & set(homeport.containers())
    assert len(survivors) == 1


def test_a_new_task_definition_rolls_out_and_the_old_tasks_leave(homeport: Homeport) -> None:
    homeport.create_service("web", homeport.register("web", web("1")), 3)
    second = homeport.register("web", web("2"))
    homeport.ecs("UpdateService", service="web", taskDefinition=second)
    homeport.wait_until_stable("web")
    assert {task["taskDefinitionArn"].rpartition("/")[2] for task in homeport.tasks()} == {second}
    homeport.eventually(
        lambda: homeport.service("web")["deployments"][0]["rolloutState"] == "COMPLETED",
        "the rollout is completed",
    )
    homeport.eventually(homeport.agrees_with_the_engine, "the old containers are gone")
    reasons = {task["stoppedReason"] for task in homeport.tasks("STOPPED")}
    assert all(reason.startswith("Scaling activity initiated by (deployment ecs-svc/") for reason in reasons)


def test_scaling_out_and_in_and_deleting(homeport: Homeport) -> None:
    homeport.create_service("web", homeport.register("web", web()), 1)
    homeport.ecs("UpdateService", service="web", desiredCount=4)
    homeport.wait_until_stable("web")
    assert len(homeport.containers()) == 4
    homeport.ecs("UpdateService", service="web", desiredCount=1)
    homeport.wait_until_stable("web")
    homeport.eventually(lambda: len(homeport.containers()) == 1, "three containers are gone")
    homeport.ecs("DeleteService", service="web", force=True)
    homeport.eventually(lambda: homeport.service("web")["status"] == "INACTIVE", "the service is INACTIVE")
    # The engine tells of a death a moment before it stops listing the container as running.
    homeport.eventually(lambda: not homeport.containers(), "the last container is gone")
    assert homeport.ecs("ListServices")["serviceArns"] == []


def test_draining_an_instance_stops_its_service_tasks_and_places_none(homeport: Homeport) -> None:
    homeport.create_service(
        "web",
        homeport.register("web", web()),
        2,
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 200},
    )
    (instance,) = homeport.instances()
    homeport.ecs(
        "UpdateContainerInstancesState",
        containerInstances=[instance["containerInstanceArn"]],
        status="DRAINING",
    )
    homeport.eventually(lambda: not homeport.containers(), "the instance is drained")
    messages = [event["message"] for event in homeport.service("web")["events"]]
    assert any("was unable to place a task" in message for message in messages)
    homeport.ecs(
        "UpdateContainerInstancesState",
        containerInstances=[instance["containerInstanceArn"]],
        status="ACTIVE",
    )
    homeport.wait_until_stable("web")


def test_an_unhealthy_task_is_replaced(homeport: Homeport) -> None:
    check = {"command": ["CMD-SHELL", "test ! -e /tmp/sick"], "interval": 5, "timeout": 2, "retries": 1}
    homeport.create_service("web", homeport.register("web", {**web(), "healthCheck": check}), 1)
    homeport.eventually(lambda: homeport.tasks()[0].get("healthStatus") == "HEALTHY", "the task is HEALTHY")
    ((victim, container_id),) = homeport.containers().items()
    homeport.engine.containers.get(container_id).exec_run(["touch", "/tmp/sick"])
    homeport.eventually(lambda: victim not in homeport.containers(), "the unhealthy task is gone")
    homeport.wait_until_stable("web")


def test_a_crashing_image_is_rolled_back_and_the_old_containers_run_all_along(homeport: Homeport) -> None:
    breaker = {"enable": True, "rollback": True}
    homeport.create_service(
        "web",
        homeport.register("web", web()),
        2,
        deploymentConfiguration={"deploymentCircuitBreaker": breaker},
    )
    homeport.eventually(
        lambda: homeport.service("web")["deployments"][0]["rolloutState"] == "COMPLETED", "it is completed"
    )
    before = homeport.containers()
    good = homeport.service("web")["taskDefinition"]
    crashing = homeport.register("web", {**web(), "command": ["sh", "-c", "exit 3"]})
    homeport.ecs("UpdateService", service="web", taskDefinition=crashing)
    updated = homeport.service("web")["currentServiceDeployment"]

    def rolled_back() -> bool:
        assert before.items() <= homeport.containers().items()
        (shown,) = homeport.client.ecs("DescribeServiceDeployments", serviceDeploymentArns=[updated])[
            "serviceDeployments"
        ]
        return bool(shown["status"] == "ROLLBACK_SUCCESSFUL")

    homeport.eventually(rolled_back, "the crashing deployment is rolled back")
    homeport.wait_until_stable("web")
    assert homeport.service("web")["taskDefinition"] == good
    assert homeport.containers() == before
    assert [page(task) for task in homeport.tasks()] == ["hello from homeport\n"] * 2
    messages = [event["message"] for event in homeport.service("web")["events"]]
    assert any("deployment failed: tasks failed to start." in message for message in messages)
    crashed = [task for task in homeport.tasks("STOPPED") if task["taskDefinitionArn"] != good]
    assert {task["stopCode"] for task in crashed} <= {"EssentialContainerExited", "ServiceSchedulerInitiated"}


def test_a_daemon_service_is_updated_in_place_and_leaves_an_instance_last(homeport: Homeport) -> None:
    homeport.ecs(
        "CreateService",
        serviceName="daemon",
        taskDefinition=homeport.register("daemon", web("1")),
        schedulingStrategy="DAEMON",
    )
    assert homeport.wait_until_stable("daemon")["desiredCount"] == 1
    homeport.eventually(lambda: len(homeport.containers()) == 1, "it runs")
    second = homeport.register("daemon", web("2"))
    homeport.ecs("UpdateService", service="daemon", taskDefinition=second)
    homeport.wait_until_stable("daemon")
    (daemon,) = homeport.tasks()
    assert daemon["taskDefinitionArn"].endswith(second)
    other = homeport.run_task(homeport.register("other", {**web(), "command": ["sleep", "600"]}))
    homeport.wait_for_status(other, "RUNNING")
    (instance,) = homeport.instances()
    state = {"containerInstances": [instance["containerInstanceArn"]]}
    homeport.ecs("UpdateContainerInstancesState", status="DRAINING", **state)
    homeport.eventually(lambda: homeport.service("daemon")["desiredCount"] == 0, "none is desired any more")
    assert set(homeport.containers()) == {daemon["taskArn"], other}
    homeport.ecs("StopTask", task=other)
    homeport.eventually(lambda: not homeport.containers(), "the daemon has left last")
    homeport.ecs("UpdateContainerInstancesState", status="ACTIVE", **state)
    homeport.eventually(lambda: len(homeport.containers()) == 1, "the daemon is back")
    assert homeport.service("daemon")["desiredCount"] == 1
