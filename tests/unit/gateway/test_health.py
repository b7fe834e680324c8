"""Container health as agents tell it."""

from __future__ import annotations

from agent.protocol import tcs
from controller.gateway.health import with_health
from tests.unit.gateway.samples import arn, task


def told(*health: tuple[str, str]) -> tcs.TaskHealth:
    """What an agent tells about these containers."""
    return tcs.TaskHealth(
        task_arn=arn(),
        containers=tuple(tcs.ContainerHealth(container_name=n, health_status=s) for n, s in health),
    )


def test_health_is_booked_with_a_new_version() -> None:
    after = with_health(task(), told(("app", "HEALTHY")))
    assert after.containers[0].health_status == "HEALTHY"
    assert after.version == task().version + 1


def test_health_that_is_known_changes_nothing() -> None:
    healthy = with_health(task(), told(("app", "HEALTHY")))
    assert with_health(healthy, told(("app", "HEALTHY"))) is healthy


def test_health_of_unknown_containers_and_of_unknown_words_changes_nothing() -> None:
    of = task()
    assert with_health(of, told(("other", "HEALTHY"), ("app", "FINE"))) is of
