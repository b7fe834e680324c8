"""Health, of containers and of container instances, as the API shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.main_job.homeport import Homeport
from tests.support.own_engine import own_engine

pytestmark = pytest.mark.engine

_AT_ONCE_S = 5.0
"""Far below the twenty seconds between two full publications of health, and enough for a busy machine."""


def test_a_change_of_a_containers_health_is_shown_at_once(homeport: Homeport) -> None:
    check = {"command": ["CMD-SHELL", "test -f /tmp/well"], "interval": 5, "timeout": 2, "retries": 1}
    container = {"command": ["/bin/sh", "-c", "touch /tmp/well; sleep 3600"], "stopTimeout": 1}
    arn = homeport.run_task(homeport.register("checked", {**container, "healthCheck": check}))
    homeport.wait_for_status(arn, "RUNNING")
    docker_id = homeport.containers()[arn]

    _is_shown_at_once(homeport, arn, docker_id, "healthy")
    homeport.engine.containers.get(docker_id).exec_run(["rm", "/tmp/well"])
    _is_shown_at_once(homeport, arn, docker_id, "unhealthy")


def _is_shown_at_once(homeport: Homeport, arn: str, docker_id: str, word: str) -> None:
    def engine_says_so() -> bool:
        return bool(homeport.engine.api.inspect_container(docker_id)["State"]["Health"]["Status"] == word)

    def api_says_so() -> bool:
        return bool(homeport.task(arn)["healthStatus"] == word.upper())

    homeport.eventually(engine_says_so, f"the engine says {word}", 30.0)
    homeport.eventually(api_says_so, f"the API says {word} at once", _AT_ONCE_S)


def test_a_hung_engine_makes_its_instance_impaired_and_no_other(homeport: Homeport, tmp_path: Path) -> None:
    """Two agents share this machine, each with directories, ports and an engine of its own."""
    with own_engine(tmp_path / "dockerd.log") as engine:
        other = homeport.new_agent("other", DOCKER_HOST=engine.host)
        other.start()
        try:
            definition = homeport.register("job", {"command": ["sleep", "3600"], "image": engine.image})
            task = homeport.ecs(
                "StartTask",
                taskDefinition=definition,
                containerInstances=[other.container_instance_arn],
            )["tasks"][0]["taskArn"]
            homeport.eventually(lambda: _health(homeport, other) == "OK", "both are well")
            engine.freeze()

            homeport.eventually(lambda: _health(homeport, other) == "IMPAIRED", "the hang is told")
            assert _health(homeport, homeport.agent) == "OK"
            assert homeport.task(task)["lastStatus"] != "STOPPED"
            engine.thaw()

            homeport.eventually(lambda: _health(homeport, other) == "OK", "it is well again by itself")
        finally:
            engine.thaw()
            other.end()


def _health(homeport: Homeport, agent: Any) -> str:
    (instance,) = homeport.ecs(
        "DescribeContainerInstances",
        containerInstances=[agent.container_instance_arn],
        include=["CONTAINER_INSTANCE_HEALTH"],
    )["containerInstances"]
    return str(instance["healthStatus"]["overallStatus"])
