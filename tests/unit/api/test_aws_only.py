"""Every operation of the installed model is implemented, or declared to be AWS's alone."""

from __future__ import annotations

import re

import pytest

from controller.api.dispatch import ecs_service
from controller.api.errors import InvalidParameterException, UnsupportedFeatureException
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.aws_only import EMPTY_LISTS, REFUSED
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.api.service_model import ServiceModel
from tests.unit.api.conftest import Api
from tests.unit.api.output_shapes import ecs_model


def test_every_operation_of_the_model_is_implemented_or_declared() -> None:
    known = ECS_OPERATIONS.keys() | TYPED_OPERATIONS.keys() | REFUSED.keys()
    assert sorted(set(ecs_model().operation_names) - known) == []


def test_nothing_is_both_implemented_and_refused_and_nothing_is_unknown_to_the_model() -> None:
    assert not REFUSED.keys() & (ECS_OPERATIONS.keys() | TYPED_OPERATIONS.keys())
    known = ECS_OPERATIONS.keys() | TYPED_OPERATIONS.keys() | REFUSED.keys()
    assert known <= set(ecs_model().operation_names)


def test_twenty_seven_operations_are_of_aws_alone() -> None:
    assert len(REFUSED.keys() | EMPTY_LISTS.keys()) == 27


@pytest.mark.parametrize("operation", REFUSED)
def test_a_refusal_names_the_operation_and_what_to_use_instead(operation: str, model: ServiceModel) -> None:
    service = ecs_service(model, ECS_OPERATIONS, TYPED_OPERATIONS)
    headers = {"X-Amz-Target": f"{model.metadata.target_prefix}.{operation}"}
    message = rf"{operation} is not available on this controller: .+; (use|publish) \w+"
    with pytest.raises(UnsupportedFeatureException, match=message) as refusal:
        service.operation(headers, b"{}")
    for name in re.findall(r"\b(?:Register|Create)[A-Z]\w+", refusal.value.message.partition(":")[2]):
        assert name in ECS_OPERATIONS


@pytest.mark.parametrize("operation", EMPTY_LISTS)
async def test_lists_of_what_only_aws_has_are_empty(api: Api, operation: str) -> None:
    required = ecs_model().operation_model(operation).input_shape.required_members
    assert await api.call(operation, **dict.fromkeys(required, "x")) == {EMPTY_LISTS[operation]: []}


async def test_a_token_that_an_empty_list_never_gave_is_refused(api: Api) -> None:
    with pytest.raises(InvalidParameterException, match="Invalid nextToken"):
        await api.call("ListGateways", nextToken="x")
