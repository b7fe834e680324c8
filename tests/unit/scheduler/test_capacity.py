"""Capacity provider strategies: base and weight, and whose instances are whose."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.scheduler.capacity import distribute, launch_type_of_strategy, pools, provider_of
from controller.state.entities import Attribute, ContainerInstance


def strategy(**items: tuple[int, int]) -> list[dict[str, Any]]:
    """A strategy of providers with their base and weight."""
    return [
        {"capacityProvider": name, "base": base, "weight": weight} for name, (base, weight) in items.items()
    ]


@pytest.mark.parametrize(
    ("items", "present", "count", "expected"),
    [
        (strategy(a=(0, 1), b=(0, 4)), {}, 5, {"a": 1, "b": 4}),
        (strategy(a=(2, 1), b=(0, 3)), {}, 6, {"a": 3, "b": 3}),
        (strategy(a=(2, 1), b=(0, 3)), {"a": 1}, 2, {"a": 2}),
        (strategy(a=(3, 0), b=(0, 1)), {}, 5, {"a": 3, "b": 2}),
        (strategy(a=(0, 0)), {}, 3, {"a": 3}),
        (strategy(a=(0, 1), b=(0, 1)), {"a": 4}, 4, {"b": 4}),
        (strategy(a=(0, 1), b=(0, 1)), {"c": 9}, 2, {"a": 1, "b": 1}),
    ],
)
def test_the_base_comes_first_and_the_weights_share_the_rest(
    items: list[dict[str, Any]], present: dict[str, int], count: int, expected: dict[str, int]
) -> None:
    assert Counter(distribute(items, present, count)) == expected


@given(st.lists(st.integers(1, 10), min_size=2, max_size=5), st.integers(0, 5), st.integers(0, 100))
def test_shares_beyond_the_base_are_as_the_weights_are(weights: list[int], base: int, count: int) -> None:
    items = strategy(**{f"p{n}": (base if n == 0 else 0, weight) for n, weight in enumerate(weights)})
    counts = Counter(distribute(items, {}, count))
    assert counts["p0"] >= min(base, count)
    rest = max(0, count - base)
    for number, weight in enumerate(weights):
        beyond = max(0, counts[f"p{number}"] - (base if number == 0 else 0))
        assert abs(beyond - rest * weight / sum(weights)) < len(weights)


@given(st.integers(0, 30), st.integers(0, 30))
def test_tasks_that_come_later_are_shared_out_as_if_they_had_come_at_once(first: int, then: int) -> None:
    items = strategy(a=(2, 1), b=(0, 3), c=(0, 2))
    early = Counter(distribute(items, {}, first))
    assert early + Counter(distribute(items, early, then)) == Counter(distribute(items, {}, first + then))


def test_fargate_and_spot_share_the_pool_of_all_instances() -> None:
    assert pools(["FARGATE", "gpu", "FARGATE_SPOT"]) == {"": ["FARGATE", "FARGATE_SPOT"], "gpu": ["gpu"]}
    assert launch_type_of_strategy(strategy(FARGATE_SPOT=(0, 1))) == "FARGATE"
    assert launch_type_of_strategy(strategy(gpu=(0, 1))) == "EC2"


def test_an_instance_belongs_to_the_provider_that_its_attribute_names() -> None:
    instance = ContainerInstance(
        cluster="default",
        id="1",
        ec2_instance_id="i",
        cpu=1,
        memory=1,
        registered_at=0.0,
        attributes=(Attribute("homeport.capacity-provider", "gpu"),),
    )
    assert provider_of(instance) == "gpu"
