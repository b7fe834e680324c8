"""Placement: filters, strategies and constraints, and what always holds."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.scheduler import seats
from controller.scheduler.constraints import InvalidConstraint, parse_constraints
from controller.scheduler.demand import Demand
from controller.scheduler.explain import explain
from controller.scheduler.placement import Candidate, PlacementRequest, Plan, place
from controller.scheduler.strategies import InvalidStrategy, Strategy, parse_strategies
from controller.state.entities import Attribute
from tests.unit.scheduler.cluster import candidate, task, usage_of

ZONE = "ecs.availability-zone"
WEB = "service:web"


def _place(candidates: list[Candidate], *, seed: int = 1, **members: Any) -> Plan:
    members.setdefault("demand", Demand(cpu=100, memory=100))
    members.setdefault("group", WEB)
    return place(PlacementRequest(**members), candidates, Random(seed))


def _strategies(*items: tuple[str, str]) -> tuple[Strategy, ...]:
    return parse_strategies({"type": kind, "field": field} for kind, field in items)


def _zone(name: str) -> dict[str, Any]:
    return {"attributes": {ZONE: name}}


@pytest.mark.parametrize(
    ("members", "demand", "reason", "detail"),
    [
        ({"status": "DRAINING"}, {}, "DRAINING", "is DRAINING"),
        ({"connected": False}, {}, "AGENT", "its agent is not connected, or has not told its tasks yet"),
        ({"full_disk": "disk 91 % full on /data"}, {}, "RESOURCE:DISK", "disk 91 % full on /data"),
        ({}, {"required_attributes": ("x", "y")}, "ATTRIBUTE", "lacks x, y"),
        (
            {"attributes": {"ecs.cpu-architecture": "arm64"}},
            {"platform": (Attribute("ecs.cpu-architecture", "x86_64"),)},
            "ATTRIBUTE",
            "lacks ecs.cpu-architecture=x86_64",
        ),
        ({"cpu": 100}, {"cpu": 101}, "RESOURCE:CPU", "needs 101 CPU units, has 100 free"),
        ({"memory": 50}, {"memory": 100}, "RESOURCE:MEMORY", "needs 100 MiB, has 50 free"),
        (
            {"tasks": [task(ports_tcp=(80,))]},
            {"ports_tcp": (80, 81)},
            "RESOURCE:PORTS",
            "TCP port 80 is taken",
        ),
        ({"reserved_ports_tcp": (22,)}, {"ports_tcp": (22,)}, "RESOURCE:PORTS", "TCP port 22 is taken"),
        (
            {"tasks": [task(ports_udp=(53,))]},
            {"ports_udp": (53,)},
            "RESOURCE:PORTS_UDP",
            "UDP port 53 is taken",
        ),
        ({"gpu_ids": ("g0",)}, {"gpus": 2}, "RESOURCE:GPU", "needs 2 GPUs, has 1 of 1 free"),
        (
            {"gpu_ids": ("g0", "g1"), "tasks": [task(gpu_ids=("g0",))]},
            {"gpus": 1, "all_gpus": True},
            "RESOURCE:GPU",
            "needs all GPUs, has 1 of 2 free",
        ),
        ({}, {"gpus": 1, "all_gpus": True}, "RESOURCE:GPU", "needs all GPUs, has 0 of 0 free"),
    ],
)
def test_an_instance_that_lacks_something_is_refused_with_the_reason(
    members: dict[str, Any], demand: dict[str, Any], reason: str, detail: str
) -> None:
    plan = _place([candidate("a", **members)], demand=Demand(**demand))
    assert (plan.placements, plan.shortfall) == ((), 1)
    assert [(refusal.reason, refusal.detail) for refusal in plan.refusals] == [(reason, detail)]


def test_a_port_of_one_protocol_leaves_the_other_free() -> None:
    plan = _place([candidate("a", tasks=[task(ports_tcp=(53,))])], demand=Demand(ports_udp=(53,)))
    assert plan.placements == ("a",)


def test_an_attribute_that_nobody_registered_contradicts_no_platform() -> None:
    demand = Demand(platform=(Attribute("ecs.cpu-architecture", "x86_64"),))
    assert _place([candidate("a")], demand=demand).placements == ("a",)


def test_tasks_with_a_fixed_port_go_one_to_an_instance() -> None:
    plan = _place([candidate("a"), candidate("b")], demand=Demand(ports_tcp=(80,)), count=3)
    assert sorted(plan.placements) == ["a", "b"]
    assert plan.shortfall == 1
    assert {refusal.reason for refusal in plan.refusals} == {"RESOURCE:PORTS"}


def test_a_plan_takes_gpus_from_each_other() -> None:
    plan = _place([candidate("a", gpu_ids=("g0", "g1"))], demand=Demand(gpus=1), count=3)
    assert (plan.placements, plan.shortfall) == (("a", "a"), 1)


def test_distinct_instance_keeps_tasks_of_a_group_apart_within_a_plan_too() -> None:
    distinct = parse_constraints([{"type": "distinctInstance"}])
    plan = _place(
        [candidate("a", group_tasks=1), candidate("b"), candidate("c")], constraints=distinct, count=3
    )
    assert sorted(plan.placements) == ["b", "c"]
    assert plan.refusals[0].reason == "DistinctInstance placement constraint unsatisfied."


def test_member_of_chooses_among_instances() -> None:
    constraints = parse_constraints([{"type": "memberOf", "expression": "attribute:disk == ssd"}])
    plan = _place([candidate("a"), candidate("b", attributes={"disk": "ssd"})], constraints=constraints)
    assert plan.placements == ("b",)
    refused = _place([candidate("a")], constraints=constraints).refusals
    assert refused[0].reason == "MemberOf placement constraint unsatisfied."


def test_member_of_sees_the_tasks_that_the_plan_itself_places() -> None:
    apart = parse_constraints([{"type": "memberOf", "expression": f"not(task:group == {WEB})"}])
    plan = _place([candidate("a"), candidate("b")], constraints=apart, count=3)
    assert sorted(plan.placements) == ["a", "b"]


def test_unknown_constraints_and_strategies_are_refused() -> None:
    with pytest.raises(InvalidConstraint):
        parse_constraints([{"type": "nearTo"}])
    for document in (
        {"type": "pack"},
        {"type": "binpack", "field": "disk"},
        {"type": "spread", "field": "zone"},
    ):
        with pytest.raises(InvalidStrategy):
            parse_strategies([document])


def test_fields_of_strategies_are_read_as_ecs_reads_them() -> None:
    chain = _strategies(("binpack", "MEMORY"), ("spread", "host"), ("spread", "instanceId"), ("random", ""))
    assert chain == (
        Strategy("binpack", "memory"),
        Strategy("spread", ""),
        Strategy("spread", ""),
        Strategy("random"),
    )


def test_by_default_tasks_go_over_zones_and_then_where_the_fewest_of_their_group_are() -> None:
    candidates = [
        candidate("a1", group_tasks=2, **_zone("a")),
        candidate("a2", **_zone("a")),
        candidate("b1", group_tasks=1, **_zone("b")),
        candidate("b2", **_zone("b")),
    ]
    assert _place(candidates, count=3).placements == ("b2", "a2", "b1")


def test_equal_zones_are_told_apart_by_what_comes_next() -> None:
    candidates = [candidate("a1", tasks=[task()], **_zone("a")), candidate("b1", **_zone("b"))]
    assert _place(candidates).placements == ("b1",)


def test_tasks_on_draining_instances_do_not_count_for_the_spread() -> None:
    candidates = [
        candidate("a1", group_tasks=3, status="DRAINING", **_zone("a")),
        candidate("a2", **_zone("a")),
        candidate("b1", group_tasks=1, **_zone("b")),
    ]
    assert _place(candidates).placements == ("a2",)


def test_tasks_on_full_instances_count_for_the_spread() -> None:
    full = candidate("a1", group_tasks=3, cpu=0, **_zone("a"))
    candidates = [full, candidate("a2", **_zone("a")), candidate("b1", group_tasks=1, **_zone("b"))]
    assert _place(candidates).placements == ("b1",)


def test_binpack_fills_the_fullest_instance_that_has_room() -> None:
    candidates = [candidate("a"), candidate("b", memory=300), candidate("c", memory=50)]
    plan = _place(candidates, strategies=_strategies(("binpack", "memory")), count=4)
    assert plan.placements == ("b", "b", "b", "a")


def test_binpack_and_a_later_spread_share_out_among_equals() -> None:
    candidates = [candidate(name, cpu=100, **_zone(name[0])) for name in ("a1", "a2", "b1", "b2")]
    plan = _place(
        candidates, strategies=_strategies(("binpack", "cpu"), ("spread", f"attribute:{ZONE}")), count=4
    )
    assert Counter(name[0] for name in plan.placements[:2]) == {"a": 1, "b": 1}
    assert sorted(plan.placements) == ["a1", "a2", "b1", "b2"]


def test_spread_over_zones_then_binpack_fills_within_each_zone() -> None:
    candidates = [
        candidate("a1", memory=1000, **_zone("a")),
        candidate("a2", memory=500, **_zone("a")),
        candidate("b1", memory=400, **_zone("b")),
        candidate("b2", memory=900, **_zone("b")),
    ]
    chain = _strategies(("spread", f"attribute:{ZONE}"), ("binpack", "memory"))
    assert sorted(_place(candidates, strategies=chain, count=4).placements) == ["a2", "a2", "b1", "b1"]


def test_random_is_uniform_and_repeatable() -> None:
    candidates = [candidate(str(number), cpu=1_000_000, memory=1_000_000) for number in range(5)]
    chain = _strategies(("random", ""))
    plan = _place(candidates, strategies=chain, count=5000)
    assert all(900 < number < 1100 for number in Counter(plan.placements).values())
    assert plan == _place(candidates, strategies=chain, count=5000)
    assert plan != _place(candidates, strategies=chain, count=5000, seed=2)


def test_a_failure_is_explained_in_the_words_of_ecs_and_by_numbers() -> None:
    candidates = [
        candidate("a", memory=64),
        candidate("b", memory=96),
        candidate("c", connected=False),
        candidate("d", status="DRAINING"),
    ]
    explanation = explain(_place(candidates).refusals)
    assert explanation.sentence == (
        "was unable to place a task because no container instance met all of its requirements. "
        "The closest matching (container-instance b) has insufficient memory available."
    )
    assert explanation.histogram == (
        "3 instances refused: 2 RESOURCE:MEMORY (nearest: needs 100 MiB, has 96 free), "
        "1 AGENT (its agent is not connected, or has not told its tasks yet)."
    )
    assert explanation.counts == (("RESOURCE:MEMORY", 2), ("AGENT", 1))
    assert explanation.room_would_help


def test_the_end_of_tasks_is_not_counted_on_to_make_room_on_a_disk() -> None:
    assert not explain(_place([candidate("a", full_disk="disk 91 % full")]).refusals).room_would_help


@pytest.mark.parametrize(
    ("members", "demand", "words"),
    [
        ({"cpu": 1}, {"cpu": 2}, "has insufficient CPU units available."),
        ({"memory": 1}, {"memory": 2}, "has insufficient memory available."),
        (
            {"reserved_ports_tcp": (80,)},
            {"ports_tcp": (80,)},
            "is already using a port required by your task.",
        ),
        ({}, {"required_attributes": ("x",)}, "is missing an attribute required by your task."),
        ({"connected": False}, {}, 'encountered error "AGENT".'),
        ({"full_disk": "disk 91 % full"}, {}, "has a disk that is too full for further tasks."),
        ({}, {"gpus": 1}, 'encountered error "RESOURCE:GPU".'),
    ],
)
def test_the_closest_instance_is_named_with_what_it_lacks(
    members: dict[str, Any], demand: dict[str, Any], words: str
) -> None:
    refusals = _place([candidate("a", **members)], demand=Demand(**demand)).refusals
    assert explain(refusals).sentence.endswith(f"The closest matching (container-instance a) {words}")


@pytest.mark.parametrize("candidates", [[], [candidate("a", status="DRAINING")]])
def test_without_instances_in_service_the_cluster_is_said_to_have_none(candidates: list[Candidate]) -> None:
    explanation = explain(_place(candidates).refusals)
    assert explanation.sentence.endswith("Reason: No Container Instances were found in your cluster.")
    assert not explanation.room_would_help


_CHAINS = st.lists(
    st.sampled_from(
        [
            Strategy("spread", ZONE),
            Strategy("spread", "rack"),
            Strategy("spread", ""),
            Strategy("binpack", "cpu"),
            Strategy("binpack", "memory"),
        ]
    ),
    max_size=3,
).map(tuple)


@st.composite
def _clusters(draw: st.DrawFn) -> list[Candidate]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        held = [
            task(
                index,
                cpu=draw(st.integers(0, 900)),
                memory=draw(st.integers(0, 900)),
                ports_tcp=(8000 + index,),
            )
            for index in range(draw(st.integers(0, 2)))
        ]
        found.append(
            candidate(
                f"i{number}",
                tasks=held,
                group_tasks=draw(st.integers(0, 2)),
                cpu=draw(st.sampled_from([512, 1024, 2048])),
                memory=draw(st.sampled_from([512, 1024, 2048])),
                status=draw(st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"])),
                connected=draw(st.sampled_from([True, True, True, False])),
                attributes={ZONE: draw(st.sampled_from("abc")), "rack": draw(st.sampled_from("xy"))},
            )
        )
    return found


_DEMANDS = st.builds(
    Demand,
    cpu=st.sampled_from([0, 128, 300]),
    memory=st.sampled_from([16, 128, 300]),
    ports_tcp=st.sampled_from([(), (), (8000,), (9000,)]),
)


def _after(candidates: list[Candidate], plan: Plan, demand: Demand) -> list[Candidate]:
    """The cluster once the plan's tasks are there."""
    placed = Counter(plan.placements)
    moved = []
    for item in candidates:
        usage = usage_of(())
        for name in ("cpu", "memory", "tasks", "running", "pending"):
            setattr(usage, name, getattr(item.usage, name))
        usage.ports_tcp = Counter(item.usage.ports_tcp)
        number = placed[item.instance.id]
        for _ in range(number):
            usage.add(task(cpu=demand.cpu, memory=demand.memory, ports_tcp=demand.ports_tcp), 1)
        moved.append(
            Candidate(
                instance=item.instance,
                usage=usage,
                connected=item.connected,
                group_tasks=item.group_tasks + number,
                total_tasks=item.total_tasks + number,
            )
        )
    return moved


@given(_clusters(), _DEMANDS, _CHAINS, st.integers(1, 12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_plan_never_takes_more_than_there_is(
    candidates: list[Candidate], demand: Demand, chain: tuple[Strategy, ...], count: int, distinct: bool
) -> None:
    constraints = parse_constraints([{"type": "distinctInstance"}] if distinct else [])
    plan = _place(candidates, demand=demand, strategies=chain, count=count, constraints=constraints)
    assert len(plan.placements) + plan.shortfall == count
    before = {item.instance.id: item for item in candidates}
    for after in _after(candidates, plan, demand):
        if after.instance.id not in plan.placements:
            continue
        assert after.instance.status == "ACTIVE"
        assert after.connected
        assert after.usage.cpu <= after.instance.cpu
        assert after.usage.memory <= after.instance.memory
        assert all(number == 1 for number in after.usage.ports_tcp.values())
        if distinct:
            assert after.group_tasks == 1
            assert before[after.instance.id].group_tasks == 0
    if plan.shortfall:
        # Whoever has room for one more is not among the refused, and nobody has.
        assert {refusal.instance_id for refusal in plan.refusals} == set(before)


@given(_clusters(), _DEMANDS, _CHAINS, st.integers(1, 10))
@settings(max_examples=150, deadline=None)
def test_a_plan_of_many_equals_as_many_plans_of_one(
    candidates: list[Candidate], demand: Demand, chain: tuple[Strategy, ...], count: int
) -> None:
    whole = _place(candidates, demand=demand, strategies=chain, count=count)
    one_by_one: list[str] = []
    for _ in range(count):
        plan = _place(candidates, demand=demand, strategies=chain)
        one_by_one += plan.placements
        candidates = _after(candidates, plan, demand)
    assert list(whole.placements) == one_by_one


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_with_room_everywhere_zones_and_instances_never_differ_by_more_than_one(
    zones: list[str], count: int
) -> None:
    candidates = [
        candidate(f"i{number}", cpu=10**6, memory=10**6, **_zone(zone)) for number, zone in enumerate(zones)
    ]
    zone_of = {item.instance.id: zone for item, zone in zip(candidates, zones, strict=True)}
    placements = _place(candidates, count=count).placements
    by_zone = Counter(zone_of[name] for name in placements)
    counts = [by_zone[zone] for zone in set(zones)]
    assert max(counts) - min(counts) <= 1
    for zone in set(zones):
        inside = [Counter(placements)[name] for name in zone_of if zone_of[name] == zone]
        assert max(inside) - min(inside) <= 1


def test_only_what_a_request_asks_for_is_looked_at() -> None:
    plain = PlacementRequest(demand=Demand(cpu=1, memory=1), group="g")
    everything = PlacementRequest(
        demand=Demand(
            cpu=1, memory=1, ports_tcp=(80,), ports_udp=(53,), gpus=1, required_attributes=("capability",)
        ),
        group="g",
        constraints=parse_constraints(
            [{"type": "distinctInstance"}, {"type": "memberOf", "expression": "attribute:disk == ssd"}]
        ),
    )
    assert seats.tests_of(everything) == tuple(filter_.passes for filter_ in seats.FILTERS)
    assert len(seats.tests_of(plain)) == len(("status", "agent", "CPU", "memory"))
