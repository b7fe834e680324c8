"""Frames are ECS's to the letter, and are read as leniently as Go reads them."""

import msgspec
import pytest

from agent.protocol import acs, tcs
from agent.protocol.envelope import (
    MalformedFrame,
    UnknownMessage,
    decode_acs,
    decode_tcs,
    encode,
    join_signed_frame,
    split_signed_frame,
)
from agent.protocol.extensions import (
    ContainerSecrets,
    GoodbyeMessage,
    HelloMessage,
    TaskInventoryEntry,
    TaskInventoryMessage,
    TaskSecretsAnswer,
    TaskSecretsRequest,
)


def test_a_message_travels_under_its_class_name_with_camel_case_members_and_no_absent_ones() -> None:
    message = acs.PayloadMessage(
        message_id="m1",
        seq_num=7,
        tasks=(
            acs.Task(
                arn="a",
                cpu=0.5,
                elastic_network_interfaces=(acs.ElasticNetworkInterface(ec2_id="i", ipv4_addresses=()),),
                containers=(acs.Container(name="c", docker_config=acs.DockerConfig(host_config="{}")),),
            ),
        ),
    )
    assert msgspec.json.decode(encode(message)) == {
        "type": "PayloadMessage",
        "message": {
            "messageId": "m1",
            "seqNum": 7,
            "tasks": [
                {
                    "arn": "a",
                    "cpu": 0.5,
                    "elasticNetworkInterfaces": [{"ec2Id": "i"}],
                    "containers": [{"name": "c", "dockerConfig": {"hostConfig": "{}"}}],
                }
            ],
        },
    }


@pytest.mark.parametrize("kind", [*acs.TO_AGENT, *acs.TO_CONTROLLER])
def test_every_acs_message_comes_back_as_it_was_sent(kind: type[msgspec.Struct]) -> None:
    assert decode_acs(encode(kind())) == kind()


@pytest.mark.parametrize("kind", [*tcs.TO_AGENT, *tcs.TO_CONTROLLER])
def test_every_tcs_message_comes_back_as_it_was_sent(kind: type[msgspec.Struct]) -> None:
    assert decode_tcs(encode(kind())) == kind()


@pytest.mark.parametrize(
    "message",
    [
        HelloMessage(store_uuid="u", epoch=3, heartbeat_interval_ms=3000),
        TaskSecretsRequest(request_id="r", task_arn="t", containers=("app",)),
        TaskSecretsAnswer(
            request_id="r", containers=(ContainerSecrets(name="app", secrets={"A": "1"}),), again=True
        ),
        GoodbyeMessage(expect="HOST_DOWN"),
        TaskInventoryMessage(
            tasks=(
                TaskInventoryEntry(
                    task_arn="t",
                    desired_status="RUNNING",
                    known_status="STOPPED",
                    sent_status="RUNNING",
                    family="f",
                    version="1",
                    started_at=1.5,
                ),
            )
        ),
    ],
)
def test_our_own_messages_come_back_as_they_were_sent(message: msgspec.Struct) -> None:
    assert decode_acs(encode(message)) == message


def test_what_an_agent_receives_may_be_spelt_in_any_case_but_environments_keep_theirs() -> None:
    frame = (
        '{"type":"PayloadMessage","message":{"MESSAGEID":"m","Tasks":[{"Arn":"a","containers":'
        '[{"Name":"c","Environment":{"Path":"/bin","PATH":"/sbin"},"portmappings":[{"HOSTPORT":80}]}]}]}}'
    )
    message = decode_acs(frame)
    assert isinstance(message, acs.PayloadMessage)
    assert message.message_id == "m"
    container = message.tasks[0].containers[0]
    assert container.environment == {"Path": "/bin", "PATH": "/sbin"}
    assert container.port_mappings == (acs.PortMapping(host_port=80),)


def test_null_counts_as_absent_either_way() -> None:
    payload = decode_acs('{"type":"PayloadMessage","message":{"messageId":"m","tasks":null}}')
    assert payload == acs.PayloadMessage(message_id="m")
    metrics = decode_tcs('{"type":"PublishMetricsRequest","message":{"taskMetrics":null,"timestamp":1}}')
    assert metrics == tcs.PublishMetricsRequest(timestamp=1)


def test_unknown_members_are_ignored_and_unknown_types_are_named() -> None:
    assert decode_acs('{"type":"AckRequest","message":{"messageId":"m","x":1}}') == acs.AckRequest(
        message_id="m"
    )
    assert decode_acs('{"type":"NewMessage","message":{"a":1}}') == UnknownMessage("NewMessage")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "null",
        "[]",
        '{"message":{}}',
        '{"type":1}',
        '{"type":"AckRequest","message":3}',
        '{"type":"PayloadMessage","message":{"tasks":{}}}',
        '{"type":"PayloadMessage","message":[]}',
        '{"type":"HelloMessage","message":{"storeUuid":"u"}}',
        '{"type":"AckRequest","message":{"messageId":"\ud800"}}',
    ],
)
def test_a_frame_that_is_no_message_is_malformed(frame: str) -> None:
    with pytest.raises(MalformedFrame):
        decode_acs(frame)


def test_statistics_are_sent_complete_zeroes_included() -> None:
    sent = msgspec.json.decode(encode(tcs.CWStatsSet(max=1.5, sample_count=2)))
    assert sent["message"] == {"min": 0.0, "max": 1.5, "sampleCount": 2, "sum": 0.0}


def test_a_signed_frame_is_headers_an_empty_line_and_the_envelope() -> None:
    body = '{"type":"PublishHealthRequest","message":{}}'
    frame = join_signed_frame({"X-Amz-Date": "d", "Authorization": "AWS4 a=b, c=d", "Host": "h:1"}, body)
    assert frame == f"Authorization: AWS4 a=b, c=d\r\nHost: h:1\r\nX-Amz-Date: d\r\n\r\n{body}"
    headers, rest = split_signed_frame(frame)
    assert headers == {"Authorization": "AWS4 a=b, c=d", "Host": "h:1", "X-Amz-Date": "d"}
    assert rest == body


def test_a_frame_without_header_block_is_taken_as_it_is() -> None:
    body = '{"type":"PublishHealthRequest","message":{"a":"\\r\\n\\r\\n"}}'
    assert split_signed_frame(body) == (None, body)


@pytest.mark.parametrize("frame", ["Host: h\r\n", "", "Host h\r\n\r\n{}"])
def test_a_broken_header_block_is_malformed(frame: str) -> None:
    with pytest.raises(MalformedFrame):
        split_signed_frame(frame)


def test_credentials_never_show_in_the_representation_of_a_message() -> None:
    credentials = acs.IAMRoleCredentials(
        credentials_id="id", secret_access_key="hidden-key", session_token="hidden-token"
    )
    message = acs.PayloadMessage(
        tasks=(
            acs.Task(
                arn="a",
                role_credentials=credentials,
                containers=(acs.Container(name="c", environment={"PASSWORD": "hidden-word"}),),
            ),
        )
    )
    assert "hidden" not in repr(message)
