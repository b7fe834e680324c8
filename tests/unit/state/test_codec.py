"""Stored bodies: golden ones still decode, newer ones are refused, damaged ones are said to be damaged."""

from __future__ import annotations

import pytest

from controller.state.codec import decode, encode
from controller.state.entities import KINDS, Cluster, ContainerInstance, Entity, Task
from controller.state.store.interface import StoreCorrupt, StoredRecord, StoreTooNew
from tests.unit.state.golden import GOLDEN
from tests.unit.state.samples import cluster, task


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS if kind.durable])
def test_every_durable_kind_has_a_golden_body_that_decodes_to_the_same_record(kind: str) -> None:
    entity, body = GOLDEN[kind]
    assert decode(StoredRecord(kind, entity.key, 1, body)) == entity
    assert encode(entity) == body


@pytest.mark.parametrize("entity", [cluster(), task()])
def test_a_record_comes_back_as_it_was(entity: Entity) -> None:
    assert decode(StoredRecord(entity.kind, entity.key, 1, encode(entity))) == entity


def test_a_body_of_a_newer_form_is_refused() -> None:
    with pytest.raises(StoreTooNew, match="task records of form 2"):
        decode(StoredRecord("task", "k", 1, '[2,{"anything":1}]'))


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(StoreTooNew, match="'daemon'"):
        decode(StoredRecord("daemon", "k", 1, "[1,{}]"))


@pytest.mark.parametrize("body", ["", "{", "[1]", '[1,{"name":3,"created_at":1}]', '[1,{"name":"x"}]'])
def test_a_damaged_body_is_said_to_be_damaged(body: str) -> None:
    with pytest.raises(StoreCorrupt, match="cluster 'x'"):
        decode(StoredRecord("cluster", "x", 1, body))


def test_tasks_share_the_strings_that_many_of_them_have() -> None:
    bodies = [StoredRecord("task", "k", 1, encode(task(number))) for number in (1, 2)]
    first, second = (decode(body) for body in bodies)
    assert isinstance(first, Task)
    assert isinstance(second, Task)
    assert first.deployment is second.deployment
    assert first.instance is second.instance


def test_records_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Cluster(name="x", created_at=1.0).name = "y"  # type: ignore[misc]
    assert ContainerInstance.__struct_config__.frozen
    assert not ContainerInstance.__struct_config__.gc
