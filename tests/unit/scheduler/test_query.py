"""The cluster query language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.scheduler.query import (
    EVERYTHING,
    MAX_DEPTH,
    InstanceFacts,
    QuerySyntaxError,
    asks_for_groups,
    matches,
    parse,
)
from tests.unit.scheduler.cluster import instance

ATTRIBUTES = {
    "ecs.instance-type": "t2.small",
    "ecs.availability-zone": "us-east-1a",
    "stack": "prod",
    "empty": None,
    "team name": "x",
    "path/to\\it": "y",
}
FACTS = InstanceFacts(
    instance("i1", attributes=ATTRIBUTES, agent_version="1.20.3"),
    connected=True,
    running_tasks=3,
    groups=frozenset({"service:web", "family:batch"}),
)


def _matches(text: str) -> bool:
    return matches(parse(text), FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "attribute:stack == prod",
        "attribute:stack equals prod",
        "attribute:stack==prod",
        "attribute:stack == 'prod'",
        'attribute:stack == "prod"',
        "attribute:stack != test",
        "attribute:stack not_equals test",
        "attribute:nothing != test",
        "attribute:stack exists",
        "attribute:empty exists",
        "attribute:empty == ''",
        "attribute:nothing !exists",
        "attribute:nothing not_exists",
        "attribute:stack in [test, prod]",
        "attribute:stack in ['test','prod']",
        "attribute:stack in prod",
        "attribute:stack !in [test]",
        "attribute:stack not_in [test]",
        "attribute:nothing !in [test]",
        "attribute:ecs.instance-type =~ t2.*",
        "attribute:ecs.instance-type matches t2.*",
        "attribute:ecs.instance-type =~ 't[0-9]\\.(small|large)'",
        "attribute:ecs.instance-type =~ (t2|m5).*",
        "(attribute:ecs.instance-type =~ (t2|m5).*)",
        "attribute:ecs.instance-type !~ t2",
        "attribute:ecs.instance-type not_matches t2",
        "attribute:nothing !~ .*",
        "attribute:path/to\\it == y",
        "agentConnected == true",
        "agentConnected in [true]",
        "agentVersion > 1.20.2",
        "agentVersion >= 1.20.3",
        "agentVersion == 1.20.3.0",
        "agentVersion greater_than 1.9",
        "agentVersion less_than 1.100",
        "agentVersion less_than_equal 2",
        "agentVersion != 1.20.4",
        "ec2InstanceId == mi-i1",
        "ec2InstanceId in ['mi-i1', 'mi-i2']",
        "ec2InstanceId =~ mi-.*",
        "registeredAt > 2018-06-18",
        "registeredAt < 2038-01-18T22:28:28+00:00",
        "registeredAt == 2023-11-14T22:13:20Z",
        "registeredAt == 2023-11-14T22:13:20",
        "registeredAt >= 2023-11-14T23:13:20+01:00",
        "runningTasksCount == 3",
        "runningTasksCount < 4",
        "runningTasksCount greater_than_equal 3",
        "task:group == service:web",
        "task:group != service:db",
        "task:group in [service:db, family:batch]",
        "task:group =~ service:.*",
        "not(task:group == service:db)",
        "not (task:group == service:db)",
        "!attribute:nothing exists",
        "!(attribute:nothing exists)",
        "not not attribute:stack exists",
        "attribute:stack == prod and runningTasksCount == 3",
        "attribute:stack == prod && runningTasksCount == 3",
        "attribute:stack==prod&&runningTasksCount==3",
        "attribute:stack == test or runningTasksCount == 3",
        "attribute:stack == test || runningTasksCount == 3",
        "attribute:stack == prod or attribute:stack == test and runningTasksCount == 0",
        "attribute:stack exists and attribute:nothing !exists and agentConnected == true",
    ],
)
def test_an_expression_matches(text: str) -> None:
    assert _matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "attribute:stack == test",
        "attribute:stack != prod",
        "attribute:nothing == prod",
        "attribute:nothing in [prod]",
        "attribute:nothing exists",
        "attribute:nothing =~ .*",
        "attribute:stack !in [prod]",
        "attribute:stack !exists",
        "attribute:ecs.instance-type =~ t2",
        "attribute:ecs.instance-type =~ small",
        "attribute:ecs.instance-type !~ t2.*",
        "agentConnected == false",
        "agentVersion > 1.20.3",
        "agentVersion > 1.100",
        "registeredAt < 2018-06-18",
        "runningTasksCount > 3",
        "task:group != service:web",
        "task:group == service:db",
        "not(task:group == service:web)",
        "(attribute:stack == prod or attribute:stack == test) and runningTasksCount == 0",
        "not attribute:stack exists or attribute:nothing exists",
    ],
)
def test_an_expression_does_not_match(text: str) -> None:
    assert not _matches(text)


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("stack == prod", 0, "Unknown subject 'stack'"),
        ("attribute: == prod", 0, "Unknown subject"),
        ("== prod", 0, "Expected a subject"),
        ("attribute:stack", 15, "Expected an operator"),
        ("attribute:stack like prod", 16, "Expected an operator"),
        ("attribute:stack > 3", 16, "cannot be compared with >"),
        ("runningTasksCount =~ 3", 18, "cannot be compared with =~"),
        ("agentConnected > true", 15, "cannot be compared with >"),
        ("runningTasksCount exists", 18, "cannot be compared with exists"),
        ("runningTasksCount == many", 21, "not a whole number"),
        ("agentVersion > latest", 15, "not a version"),
        ("registeredAt > yesterday", 15, "not a time"),
        ("attribute:stack ==", 18, "Expected a value"),
        ("attribute:stack == [prod]", 19, "Expected a value"),
        ("attribute:stack == 'prod", 19, "Expected a value"),
        ("attribute:stack in [prod", 24, "Expected ']'"),
        ("attribute:stack in [prod,]", 25, "Expected a value"),
        ("attribute:stack in []", 20, "Expected a value"),
        ("(attribute:stack == prod", 24, "Expected ')'"),
        ("attribute:stack == prod)", 23, "Expected 'and', 'or' or the end"),
        ("attribute:stack == prod attribute:x exists", 24, "Expected 'and', 'or' or the end"),
        ("attribute:stack == prod and", 27, "Expected a subject"),
        ("not", 3, "Expected a subject"),
        ("attribute:stack =~ [", 19, "malformed"),
        ("attribute:stack =~ (a+)+b", 19, "match in several ways"),
        ("attribute:stack =~ .*.*.*.*b", 19, "too many repeats"),
        ("attribute:stack =~ '(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a).*.*'", 19, "too many repeats"),
        ("attribute:stack =~ '(a)\\1'", 19, "refers back"),
        ("attribute:stack =~ '(?=a)a'", 19, "not supported"),
        ("attribute:stack =~ " + "a" * 300, 19, "longer than"),
    ],
)
def test_a_mistake_is_reported_with_its_position(text: str, position: int, problem: str) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        parse(text)
    assert caught.value.position == position
    assert problem in str(caught.value)


def test_an_empty_expression_is_everything() -> None:
    assert parse(" ") is EVERYTHING


def test_depth_and_length_are_bounded() -> None:
    inside = "attribute:stack exists"
    assert _matches("(" * (MAX_DEPTH - 1) + inside + ")" * (MAX_DEPTH - 1))
    with pytest.raises(QuerySyntaxError, match="inside each other"):
        parse("(" * 500 + inside + ")" * 500)
    with pytest.raises(QuerySyntaxError, match="longer than"):
        parse(" or ".join([inside] * 200))


def test_only_expressions_on_groups_ask_for_groups() -> None:
    assert asks_for_groups(parse("attribute:x exists or not(task:group == a)"))
    assert not asks_for_groups(parse("attribute:x exists or not(attribute:group == a)"))


_WORDS = [
    "attribute:stack", "agentConnected", "runningTasksCount", "task:group", "registeredAt", "==", "!=", "in",
    "!in", "=~", "exists", "not", "and", "or", "&&", "||", "(", ")", "[", "]", ",", "prod", "'pr od'", "3",
    "x", "(a|b)*", "!",
]  # fmt: skip


@given(st.one_of(st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join), st.text(max_size=60)))
def test_any_text_is_either_an_expression_or_a_syntax_error_within_it(text: str) -> None:
    try:
        expression = parse(text)
    except QuerySyntaxError as error:
        position = error.position
    else:
        position = 0
        assert matches(expression, FACTS) in (True, False)
    assert 0 <= position <= len(text)


@given(
    st.lists(
        st.sampled_from(["a", "b", ".", "*", "+", "?", "(", ")", "|", "[ab]", "{2}", "{1,3}", "\\d"]),
        max_size=10,
    )
)
def test_a_pattern_that_is_accepted_never_takes_long(parts: list[str]) -> None:
    try:
        expression = parse(f"attribute:long =~ '{''.join(parts)}'")
    except QuerySyntaxError:
        return
    long = instance("i1", attributes={"long": "a" * 100 + "!"})
    # A pattern whose work explodes would run into the suite's time limit here.
    matches(expression, InstanceFacts(long, True, 0, frozenset()))
