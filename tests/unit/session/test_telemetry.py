"""Telemetry is cut into messages as ECS's own agent cuts it."""

from itertools import count

import pytest

from agent.protocol import tcs
from agent.session.telemetry import Window, health_messages, metrics_messages, status_message


def ids() -> "count[int]":
    return count(1)


def metrics(number: int) -> list[tcs.PublishMetricsRequest]:
    numbers = ids()
    tasks = tuple(tcs.TaskMetric(task_arn=f"t{index}") for index in range(number))
    return metrics_messages(Window(12.34567, tasks), "default", "arn", lambda: str(next(numbers)))


@pytest.mark.parametrize(("tasks", "sizes"), [(1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_ten_tasks_go_into_a_message_and_the_last_one_is_marked(tasks: int, sizes: list[int]) -> None:
    messages = metrics(tasks)
    assert [len(message.task_metrics) for message in messages] == sizes
    marks = [message.metadata.fin for message in messages if message.metadata]
    assert marks == [False] * (len(sizes) - 1) + [True]
    assert [message.metadata.message_id for message in messages if message.metadata] == [
        str(number) for number in range(1, len(sizes) + 1)
    ]


def test_an_instance_without_tasks_says_once_that_it_is_idle() -> None:
    (message,) = metrics(0)
    assert message.metadata == tcs.MetricsMetadata(
        cluster="default", container_instance="arn", message_id="1", idle=True, fin=True
    )
    assert message.task_metrics == ()
    assert message.timestamp == 12.346


def test_health_is_sent_in_tens_and_not_at_all_without_health_checks() -> None:
    numbers = ids()
    tasks = [tcs.TaskHealth(task_arn=f"t{index}") for index in range(12)]
    messages = health_messages(tasks, 5.0, "default", "arn", lambda: str(next(numbers)))
    assert [len(message.tasks) for message in messages] == [10, 2]
    assert [message.metadata.fin for message in messages if message.metadata] == [False, True]
    assert health_messages([], 5.0, "default", "arn", lambda: "x") == []


def test_the_engines_state_is_one_status() -> None:
    status = tcs.InstanceStatus(type="ContainerRuntime", status="OK")
    message = status_message(status, 5.0, "default", "arn", lambda: "r")
    assert message.statuses == (status,)
    assert message.metadata == tcs.InstanceStatusMetadata(
        cluster="default", container_instance="arn", request_id="r"
    )
