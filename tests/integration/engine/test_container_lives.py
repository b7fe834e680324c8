"""Containers that wait for each other, end in order, and are started again, on the real engine."""

import asyncio
import json

from agent.protocol import acs
from tests.integration.engine.harness import Harness

OBEYS = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
HEALTH_CHECK = {"Healthcheck": {"Test": ["CMD", "test", "-e", "/tmp/ready"], "Interval": 10**9, "Retries": 3}}
NANOSECONDS = 10**9


def waits(**conditions: str) -> tuple[acs.ContainerDependency, ...]:
    """What a container waits for: names and conditions."""
    return tuple(acs.ContainerDependency(container_name=n, condition=c) for n, c in conditions.items())


def health_checked() -> dict[str, object]:
    """The members of a container that becomes healthy once its file /tmp/ready is there."""
    return {"docker_config": acs.DockerConfig(config=json.dumps(HEALTH_CHECK)), "health_check_type": "docker"}


async def test_each_condition_of_a_dependency_is_waited_for(harness: Harness) -> None:
    task = await harness.run(
        harness.shell("sleep 0.3; exit 3", name="job", essential=False),
        harness.shell(
            "sleep 0.1; exit 0", name="migration", essential=False, depends_on=waits(job="COMPLETE")
        ),
        harness.shell(
            f"sleep 0.2; touch /tmp/ready; {OBEYS}",
            name="db",
            depends_on=waits(migration="SUCCESS"),
            **health_checked(),
        ),
        harness.shell(OBEYS, name="app", depends_on=waits(db="HEALTHY")),
        harness.shell(OBEYS, name="web", depends_on=waits(app="START")),
    )
    states = dict(
        zip(("job", "migration", "db", "app", "web"), harness.record(task).state.containers, strict=True)
    )

    assert (states["migration"].created_at or 0.0) >= (states["job"].finished_at or 0.0)
    assert (states["db"].created_at or 0.0) >= (states["migration"].finished_at or 0.0)
    assert (states["app"].created_at or 0.0) >= (states["db"].health_since or 0.0) > 0.0
    assert (states["web"].created_at or 0.0) >= (states["app"].started_at or 0.0) > 0.0

    await harness.engine.stop_tasks((task.arn or "",))
    await harness.reported(task, "STOPPED")
    ends = [c.finished_at or 0.0 for c in harness.record(task).state.containers]
    assert ends[4] <= ends[3] <= ends[2], "in the reverse order"


async def test_a_dependency_that_fails_ends_those_who_wait_with_the_reason(harness: Harness) -> None:
    task = harness.task(
        harness.shell("exit 1", name="migration", essential=False),
        harness.container("web", depends_on=waits(migration="SUCCESS")),
    )
    await harness.engine.accept((task,))
    report = await harness.reported(task, "STOPPED")

    (web,) = [c for r in harness.reports for c in r.containers if c.name == "web"]
    assert web.exit_code == 143
    assert web.reason is not None
    assert "container migration exited with 1 instead of 0" in web.reason
    assert web.reason == report.reason


async def test_who_is_not_ready_within_its_start_timeout_is_waited_for_no_longer(harness: Harness) -> None:
    task = harness.task(
        harness.shell(OBEYS, name="db", start_timeout=1, **health_checked()),
        harness.container("web", depends_on=waits(db="HEALTHY")),
    )
    await harness.engine.accept((task,))
    report = await harness.reported(task, "STOPPED")

    assert "container db was not ready within its startTimeout of 1 s" in report.reason
    assert len(harness.containers_of(task)) == 1, "web was never made"


async def test_each_container_has_its_own_stop_timeout(harness: Harness) -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.05; done"
    task = await harness.run(
        harness.shell(stubborn, name="first", stop_timeout=1),
        harness.shell(stubborn, name="second", stop_timeout=2),
    )
    loop = asyncio.get_running_loop()
    before = loop.time()
    await harness.engine.stop_tasks((task.arn or "",))
    await harness.reported(task, "STOPPED")

    assert loop.time() - before >= 2.0
    first, second = harness.record(task).state.containers
    assert (first.finished_at or 0.0) < (second.finished_at or 0.0)
    assert (first.exit_code, second.exit_code) == (137, 137)


async def test_a_container_with_a_restart_policy_is_started_again_until_a_life_is_too_short(
    harness: Harness,
) -> None:
    # Two lives of more than the period, then one that ends at once.
    script = "echo life >> /tmp/lives; [ $(wc -l < /tmp/lives) -gt 2 ] || sleep 2.1; exit 4"
    policy = acs.RestartPolicy(enabled=True, ignored_exit_codes=(0,), restart_attempt_period=2)
    task = await harness.run(harness.shell(script, restart_policy=policy))
    identity = harness.record(task).state.containers[0].docker_id
    await harness.eventually(lambda: harness.record(task).state.containers[0].restarts == 1, "a restart")
    assert harness.statuses(task) == ["RUNNING"], "nobody is told"

    report = await harness.reported(task, "STOPPED")
    assert report.containers[0].exit_code == 4
    assert harness.record(task).state.containers[0].restarts == 2
    assert report.containers[0].runtime_id == identity, "in place"


async def test_an_ignored_exit_code_is_the_end_in_spite_of_the_policy(harness: Harness) -> None:
    policy = acs.RestartPolicy(enabled=True, ignored_exit_codes=(9,), restart_attempt_period=1)
    task = await harness.run(harness.shell("sleep 1.2; exit 9", restart_policy=policy))

    await harness.reported(task, "STOPPED")
    assert harness.record(task).state.containers[0].restarts == 0


async def test_a_container_that_died_while_the_agent_was_away_is_started_again(harness: Harness) -> None:
    policy = acs.RestartPolicy(enabled=True, restart_attempt_period=1)
    port = acs.PortMapping(container_port=80, host_port=0, protocol="tcp")
    task = await harness.run(harness.container(restart_policy=policy, port_mappings=(port,)))
    bindings = harness.inspect(task)["NetworkSettings"]["Ports"]
    name = harness.docker_name(task)
    await asyncio.sleep(1.1)  # the life has to be as long as the period
    await harness.stop()
    await asyncio.to_thread(harness.client.api.kill, name, "SIGKILL")
    await harness.start()

    def runs_again() -> bool:
        restarting = harness.record(task).state.containers[0].restarting
        return not restarting and bool(harness.inspect(task)["State"]["Running"])

    await harness.eventually(runs_again, "it runs again")
    assert harness.inspect(task)["NetworkSettings"]["Ports"] == bindings, "where it was told to be"
    assert harness.record(task).state.containers[0].restarts == 1
    await harness.engine.stop_tasks((task.arn or "",))
    await harness.reported(task, "STOPPED")
