"""Input checks against the service model."""

from __future__ import annotations

import copy
from typing import Any

import botocore.model
import botocore.serialize
import botocore.session
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.api.errors import ApiError, InvalidParameterException, SerializationException
from controller.api.service_model import ServiceModel, Shape, load_service_model
from controller.api.validation import InputValidator, parse_body

MODEL = load_service_model("ecs")
VALIDATOR = InputValidator(MODEL)

OPERATIONS = sorted(name for name, operation in MODEL.operations.items() if operation.input)


def check(operation: str, body: bytes) -> dict[str, Any]:
    shape = MODEL.operations[operation].input
    assert shape is not None
    return VALIDATOR.check(shape.shape, parse_body(body))


@pytest.mark.parametrize(
    ("operation", "body", "error", "message"),
    [
        ("RunTask", b"{", SerializationException, "not valid JSON"),
        ("RunTask", b"\xff\xfe", SerializationException, "not valid JSON"),
        ("RunTask", b"[]", SerializationException, "must be a JSON object"),
        ("RunTask", b"[" * 100_000, SerializationException, "not valid JSON"),
        ("RunTask", b"{}", InvalidParameterException, "taskDefinition can not be null."),
        ("RunTask", b'{"taskDefinition":null}', InvalidParameterException, "taskDefinition can not be null."),
        ("RunTask", b'{"taskDefinition":7}', SerializationException, "taskDefinition: NUMBER_VALUE can not"),
        ("RunTask", b'{"taskDefinition":"\\u0000"}', InvalidParameterException, "NUL character"),
        (
            "RunTask",
            b'{"taskDefinition":"x","launchType":"NOMAD"}',
            InvalidParameterException,
            "launch type should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]",
        ),
        (
            "RunTask",
            b'{"taskDefinition":"x","count":"2"}',
            SerializationException,
            "count: STRING_VALUE can not be converted to an Integer",
        ),
        ("RunTask", b'{"taskDefinition":"x","count":1.5}', SerializationException, "count: NUMBER_VALUE"),
        ("RunTask", b'{"taskDefinition":"x","count":true}', SerializationException, "count: BOOLEAN_VALUE"),
        (
            "RunTask",
            b'{"taskDefinition":"x","count":4294967296}',
            SerializationException,
            "does not fit into 32 bits",
        ),
        (
            "RunTask",
            b'{"taskDefinition":"x","enableExecuteCommand":"true"}',
            SerializationException,
            "enableExecuteCommand: STRING_VALUE can not be converted to a Boolean",
        ),
        (
            "RunTask",
            b'{"taskDefinition":"x","tags":[{"key":"a","value":"b"},{"key":"#"}]}',
            InvalidParameterException,
            "tags[1].key should match the pattern",
        ),
        (
            "RunTask",
            b'{"taskDefinition":"x","tags":{"key":"a"}}',
            SerializationException,
            "tags: OBJECT_VALUE can not be converted to a list",
        ),
        (
            "RegisterTaskDefinition",
            b'{"family":"f","containerDefinitions":[{"portMappings":[{"protocol":"sctp"}]}]}',
            InvalidParameterException,
            "containerDefinitions[0].portMappings[0].protocol should be one of [tcp,udp]",
        ),
        (
            "RegisterTaskDefinition",
            b'{"family":"f","containerDefinitions":[{"dockerLabels":{"a":1}}]}',
            SerializationException,
            "containerDefinitions[0].dockerLabels.a: NUMBER_VALUE can not be converted to a String",
        ),
        (
            "CreateCluster",
            b'{"defaultCapacityProviderStrategy":[{"capacityProvider":"a","weight":1001}]}',
            InvalidParameterException,
            "defaultCapacityProviderStrategy[0].weight should be between 0 and 1000.",
        ),
    ],
)
def test_wrong_input_is_refused_with_the_place_and_the_reason(
    operation: str, body: bytes, error: type[ApiError], message: str
) -> None:
    with pytest.raises(error) as refusal:
        check(operation, body)
    assert message in refusal.value.message


def test_nulls_and_unknown_members_are_dropped_at_every_level() -> None:
    body = b"""{"taskDefinition": "x", "group": null, "unheardOf": {"a": 1}, "overrides": {
        "containerOverrides": [null, {"name": "web", "command": ["a", null], "other": 1, "cpu": null}]}}"""
    assert check("RunTask", body) == {
        "taskDefinition": "x",
        "overrides": {"containerOverrides": [{"name": "web", "command": ["a"]}]},
    }


def test_an_empty_list_is_kept_since_it_may_mean_something() -> None:
    assert check("UpdateService", b'{"service":"s","loadBalancers":[]}') == {
        "service": "s",
        "loadBalancers": [],
    }


def test_whole_floats_are_integers_where_the_model_says_integer() -> None:
    count = check("RunTask", b'{"taskDefinition":"x","count":2.0}')["count"]
    assert count == 2
    assert isinstance(count, int)


def test_an_empty_body_is_an_empty_object() -> None:
    assert check("ListClusters", b"") == {}


@pytest.mark.parametrize("key", ["name", "ä ö", "a_.:/=+-@b", "日本", "a b"])
def test_tag_keys_may_hold_letters_digits_and_separators_of_every_script(key: str) -> None:
    body = msgspec.json.encode({"tags": [{"key": key}]})
    assert check("CreateCluster", body) == {"tags": [{"key": key}]}


@pytest.mark.parametrize("key", ["a\tb", "a#b", "a*", "\U0001f600"])
def test_tag_keys_may_hold_nothing_else(key: str) -> None:
    with pytest.raises(InvalidParameterException):
        check("CreateCluster", msgspec.json.encode({"tags": [{"key": key}]}))


def _values(shape_name: str, depth: int) -> st.SearchStrategy[Any]:
    """Values that the model allows for a shape."""
    shape = MODEL.shapes[shape_name]
    if shape.type == "structure":
        return _structures(shape, depth)
    if shape.type == "list":
        assert shape.member is not None
        top = min(int(shape.max) if shape.max is not None else 2, 2)
        low = int(shape.min or 0)
        return st.lists(_values(shape.member.shape, depth - 1), min_size=low, max_size=max(low, top))
    if shape.type == "map":
        assert shape.value is not None
        return st.dictionaries(_TEXT, _values(shape.value.shape, depth - 1), max_size=2)
    return _scalars(shape)


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def _scalars(shape: Shape) -> st.SearchStrategy[Any]:
    low = int(shape.min) if shape.min is not None else None
    high = int(shape.max) if shape.max is not None else None
    if shape.enum:
        return st.sampled_from(shape.enum)
    if shape.pattern:
        return st.text("abcXYZ019.-", min_size=low or 0, max_size=high)
    if shape.type == "string":
        return st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=low or 0, max_size=20
        )
    if shape.type in ("integer", "long"):
        return st.integers(-(2**31) if low is None else low, 2**31 - 1 if high is None else high)
    if shape.type == "boolean":
        return st.booleans()
    if shape.type == "timestamp":
        return st.integers(0, 4_000_000_000)
    return st.floats(low or 0, high or 1e9, allow_nan=False)


def _structures(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    if shape.document or (shape.union and not shape.members):
        return st.just({})
    if shape.union:
        return st.sampled_from(sorted(shape.members)).flatmap(
            lambda name: st.fixed_dictionaries({name: _values(shape.members[name].shape, depth - 1)})
        )
    required = {name: _values(shape.members[name].shape, depth - 1) for name in shape.required}
    optional = {
        name: _values(reference.shape, depth - 1)
        for name, reference in shape.members.items()
        if name not in shape.required and depth > 0
    }
    return st.fixed_dictionaries(required, optional=optional)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_botocore_serialises_is_accepted_and_comes_out_the_same(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    shape = MODEL.operations[operation].input
    assert shape is not None
    parameters = data.draw(_values(shape.shape, 4))
    service = _botocore_model()
    serializer = botocore.serialize.create_serializer("json")
    body = serializer.serialize_to_request(copy.deepcopy(parameters), service.operation_model(operation))[
        "body"
    ]
    assert check(operation, body) == parameters


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_arbitrary_json_under_the_members_names_raises_nothing_but_api_errors(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    shape = MODEL.operations[operation].input
    assert shape is not None
    members = MODEL.shapes[shape.shape].members
    names = st.sampled_from(sorted(members)) if members else st.text(max_size=8)
    document = data.draw(st.dictionaries(names, _JSON, max_size=4) | _JSON)
    _accept_or_refuse(operation, msgspec.json.encode(document))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(OPERATIONS))
def test_arbitrary_bytes_raise_nothing_but_api_errors(body: bytes, operation: str) -> None:
    _accept_or_refuse(operation, body)


def _accept_or_refuse(operation: str, body: bytes) -> None:
    try:
        checked = check(operation, body)
    except ApiError:
        return
    assert isinstance(checked, dict)


_loaded: list[botocore.model.ServiceModel] = []


def _botocore_model() -> botocore.model.ServiceModel:
    if not _loaded:
        _loaded.append(botocore.session.get_session().get_service_model("ecs"))
    return _loaded[0]


def test_the_model_holds_every_operation_of_botocore(model: ServiceModel) -> None:
    assert set(model.operations) == set(_botocore_model().operation_names)
