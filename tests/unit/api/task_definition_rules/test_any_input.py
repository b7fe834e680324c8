"""Whatever the service model allows is either a task definition or a client's error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings

from controller.api.errors import ClientException
from controller.api.task_definition_rules import (
    check_definition,
    compatibilities,
    normalise,
    required_attributes,
)
from controller.scheduler.demand import demand_of
from controller.state.entities import TaskDefinition
from tests.unit.api.model_inputs import inputs
from tests.unit.api.task_definition_rules.documents import container

SLOW_TO_BUILD = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(suppress_health_check=SLOW_TO_BUILD, deadline=None)
@given(inputs("RegisterTaskDefinition", family="web"))
def test_any_task_definition_is_registered_or_refused(request: dict[str, Any]) -> None:
    with suppress(ClientException):
        _register(request)


@settings(suppress_health_check=SLOW_TO_BUILD, deadline=None)
@given(
    inputs(
        "RegisterTaskDefinition", family="web", containerDefinitions=[container()], cpu="256", memory="512"
    )
)
def test_any_task_around_a_good_container_is_registered_or_refused(request: dict[str, Any]) -> None:
    with suppress(ClientException):
        _register(request)


@settings(suppress_health_check=SLOW_TO_BUILD, deadline=None)
@given(inputs("RegisterTaskDefinition", family="web").map(lambda request: request["containerDefinitions"]))
def test_any_good_looking_containers_are_registered_or_refused(containers: list[dict[str, Any]]) -> None:
    named = [
        {**given_, **container(name=f"c{number}"), "essential": True}
        for number, given_ in enumerate(containers)
    ]
    with suppress(ClientException):
        _register({"family": "web", "containerDefinitions": named})


def _register(request: dict[str, Any]) -> None:
    """What registering does with a document, and what a launch does with it first."""
    document = normalise(request)
    check_definition(document)
    definition = TaskDefinition(
        family="web",
        revision=1,
        document=document,
        requires_attributes=required_attributes(document),
        compatibilities=compatibilities(document),
        registered_at=0.0,
    )
    demand_of(definition, None)
