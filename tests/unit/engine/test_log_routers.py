"""How containers are tied to their log router."""

from pathlib import Path
from typing import Any, cast

import pytest

from agent.engine.book import TaskRecord
from agent.engine.definition import plan_task
from agent.engine.docker import Docker
from agent.engine.log_routers import LogRouters
from agent.engine.transitions import initial_state
from tests.unit.engine.builders import acs_task
from tests.unit.engine.test_firelens import OPTIONS, logging, router


@pytest.mark.parametrize(
    ("wait", "engine", "option"),
    [
        (False, "20.10.24", {"fluentd-async": "true"}),
        (True, "20.10.24", {"fluentd-async": "false"}),
        (True, "19.03.1", {"fluentd-async-connect": "false"}),
    ],
)
async def test_a_container_waits_for_its_router_where_it_is_to(
    tmp_path: Path, wait: bool, engine: str, option: dict[str, str]
) -> None:
    routers = LogRouters(cast("Docker", None), tmp_path, wait=wait)
    routers.open({"ServerVersion": engine})
    container = logging(OPTIONS)
    task = acs_task(router(), container, network_mode="host")
    plan = plan_task(task, 30.0, lambda: "0")
    body: dict[str, Any] = {"HostConfig": {}, "Env": []}
    await routers.apply(TaskRecord(task, plan, initial_state(plan)), container, body)

    driver = body["HostConfig"]["LogConfig"]
    assert driver["Type"] == "fluentd"
    assert {name: value for name, value in driver["Config"].items() if "async" in name} == option
    assert driver["Config"]["fluentd-buffer-limit"] == "2097152"
