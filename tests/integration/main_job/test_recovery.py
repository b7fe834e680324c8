"""Processes die, containers do not; afterwards the API says what the engine says."""

from __future__ import annotations

import pytest

from tests.integration.main_job.homeport import Homeport

pytestmark = pytest.mark.engine


def sleeper() -> dict[str, object]:
    """A container that sleeps and ends at once when told."""
    return {"command": ["sleep", "3600"], "stopTimeout": 1}


def test_containers_survive_the_agents_kill_and_what_happened_meanwhile_is_reported(
    homeport: Homeport,
) -> None:
    homeport.create_service("web", homeport.register("web", sleeper()), 3)
    before = homeport.containers()
    homeport.agent.kill()
    assert homeport.containers() == before
    victim, container_id = next(iter(before.items()))
    homeport.engine.api.kill(container_id)
    homeport.agent.start()
    homeport.eventually(lambda: homeport.task(victim)["lastStatus"] == "STOPPED", "the death is reported")
    homeport.wait_until_stable("web")
    after = homeport.containers()
    assert {arn: id_ for arn, id_ in before.items() if arn != victim}.items() <= after.items()
    assert len(after) == 3
    assert homeport.agrees_with_the_engine()
    assert len(homeport.instances()) == 1


def test_containers_survive_the_controllers_kill(homeport: Homeport) -> None:
    homeport.create_service("web", homeport.register("web", sleeper()), 3)
    before = homeport.containers()
    homeport.controller.kill()
    victim, container_id = next(iter(before.items()))
    homeport.engine.api.kill(container_id)
    homeport.controller.start()
    homeport.wait_for_connection()
    homeport.eventually(lambda: homeport.task(victim)["lastStatus"] == "STOPPED", "the death is reported")
    homeport.wait_until_stable("web")
    assert {arn: id_ for arn, id_ in before.items() if arn != victim}.items() <= homeport.containers().items()
    homeport.eventually(homeport.agrees_with_the_engine, "API and engine agree")


def test_containers_survive_the_kill_of_both(homeport: Homeport) -> None:
    homeport.create_service("web", homeport.register("web", sleeper()), 3)
    before = homeport.containers()
    homeport.agent.kill()
    homeport.controller.kill()
    homeport.controller.start()
    homeport.agent.start()
    homeport.wait_for_connection()
    homeport.wait_until_stable("web")
    assert homeport.containers() == before
    assert homeport.agrees_with_the_engine()


def test_a_task_stopped_while_its_agent_is_away_is_stopped_when_it_returns(homeport: Homeport) -> None:
    arn = homeport.run_task(homeport.register("job", sleeper()))
    homeport.wait_for_status(arn, "RUNNING")
    homeport.agent.kill()
    homeport.ecs("StopTask", task=arn, reason="while away")
    assert homeport.task(arn)["desiredStatus"] == "STOPPED"
    homeport.agent.start()
    assert homeport.wait_for_status(arn, "STOPPED")["stoppedReason"] == "while away"
    # The engine lists a container for a moment after it announced its death.
    homeport.eventually(lambda: not homeport.containers(), "the container is gone")


def test_a_controller_on_an_empty_data_directory_stops_nothing_it_finds(homeport: Homeport) -> None:
    homeport.create_service("web", homeport.register("web", sleeper()), 2)
    before = homeport.containers()
    homeport.controller.stop()
    (homeport.controller.data_dir / "secret.key").replace(homeport.directory / "secret.key")
    for path in homeport.controller.data_dir.iterdir():
        path.unlink()
    homeport.controller.start()
    homeport.agent.stop()
    agent = homeport.new_agent("agent")
    agent.start()
    try:
        homeport.eventually(
            lambda: (
                {
                    task["taskArn"]
                    for task in homeport.client.homeport("ListQuarantinedTasks", cluster=homeport.cluster)[
                        "quarantinedTasks"
                    ]
                }
                == set(before)
            ),
            "both tasks are shown as quarantined",
        )
        arn = homeport.run_task(homeport.register("new", sleeper()))
        homeport.wait_for_status(arn, "RUNNING")
        assert before.items() <= homeport.containers().items()
    finally:
        agent.end()
