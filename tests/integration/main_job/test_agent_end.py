"""How an agent ends: by default its containers go on; asked to, it empties the machine first."""

from __future__ import annotations

import signal

import pytest

from tests.integration.main_job.homeport import Homeport

pytestmark = pytest.mark.engine


def sleeper() -> dict[str, object]:
    """A container that sleeps and ends at once when told."""
    return {"command": ["sleep", "3600"], "stopTimeout": 1}


def test_on_sigterm_containers_go_on_and_the_instance_keeps_its_state(homeport: Homeport) -> None:
    arn = homeport.run_task(homeport.register("job", sleeper()))
    homeport.wait_for_status(arn, "RUNNING")
    before = homeport.containers()
    assert homeport.agent.stop() == 0
    assert homeport.containers() == before
    (instance,) = homeport.instances()
    assert instance["status"] == "ACTIVE"


def test_an_agent_that_drains_on_exit_moves_its_tasks_first_and_is_active_when_it_returns(
    homeport: Homeport,
) -> None:
    homeport.agent.stop()
    leaving = homeport.new_agent("agent", HOMEPORT_DRAIN_ON_EXIT="1m")
    staying = homeport.new_agent("other")
    try:
        leaving.start()
        homeport.create_service("web", homeport.register("web", sleeper()), 2)
        staying.start()
        homeport.eventually(
            lambda: sum(i["agentConnected"] for i in homeport.instances()) == 2, "both joined"
        )
        assert leaving.stop(timeout_s=60.0) == 0

        left = next(
            i for i in homeport.instances() if i["containerInstanceArn"] != staying.container_instance_arn
        )
        assert (left["status"], left["runningTasksCount"]) == ("DRAINING", 0)
        homeport.wait_until_stable("web")
        assert {t["containerInstanceArn"] for t in homeport.tasks()} == {staying.container_instance_arn}

        leaving.start()
        homeport.eventually(
            lambda: {i["status"] for i in homeport.instances()} == {"ACTIVE"}, "it takes tasks again"
        )
    finally:
        leaving.end()
        staying.end()


def test_a_task_that_does_not_end_holds_an_exit_up_for_the_time_given_or_until_the_second_signal(
    homeport: Homeport,
) -> None:
    homeport.agent.stop()
    agent = homeport.new_agent("agent", HOMEPORT_DRAIN_ON_EXIT="10m")
    try:
        agent.start()
        arn = homeport.run_task(homeport.register("job", sleeper()))
        homeport.wait_for_status(arn, "RUNNING")
        agent.signal(signal.SIGTERM)
        homeport.eventually(lambda: homeport.instances()[0]["status"] == "DRAINING", "it drains")
        assert agent.is_running
        assert agent.stop() == 0
        assert len(homeport.containers()) == 1, "what did not end goes on"
        assert "ends_with_tasks_left_running" in agent.log()
    finally:
        agent.end()
