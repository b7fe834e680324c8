"""URLs, waits, the controller's time, endpoint discovery and reconnecting."""

import asyncio
from email.utils import formatdate
from random import Random
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.session.api import ApiError, ControlPlaneClient, Unreachable, read_error
from agent.session.backoff import FIRST_LIMIT_S, LIMIT_S, Backoff
from agent.session.discovery import CACHED_FOR_S, Discovery
from agent.session.instance_health import CHECK_INTERVAL_S, InstanceHealth
from agent.session.reconnect import AGE_JITTER_S, AGE_LIMIT_S, ConnectionExpired, expire, stay_connected
from agent.session.server_time import ServerTime
from agent.session.urls import BadEndpoint, encode_query, websocket_url
from agent.session.websocket import ConnectionEnded
from tests.support.clock import FakeClock
from tests.unit.session.fakes import INSTANCE_ARN, FakeApi, FakeEngine


def test_queries_are_encoded_as_go_does() -> None:
    parameters = {"seqNum": "1", "dockerVersion": "DockerVersion: 24.0.7", "agentHash": "a~b*c'(d)é/"}
    assert encode_query(parameters) == (
        "agentHash=a~b%2Ac%27%28d%29%C3%A9%2F&dockerVersion=DockerVersion%3A+24.0.7&seqNum=1"
    )


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_an_encoded_query_decodes_to_what_it_was(parameters: dict[str, str]) -> None:
    assert dict(parse_qsl(encode_query(parameters), keep_blank_values=True)) == parameters


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:8480", "ws://h:8480/ws?a=1"),
        ("http://h:8480/acs", "ws://h:8480/acs/ws?a=1"),
        ("https://h/tcs/", "wss://h/tcs/ws?a=1"),
    ],
)
def test_an_endpoint_keeps_its_path(endpoint: str, url: str) -> None:
    assert websocket_url(endpoint, {"a": "1"}) == url


@pytest.mark.parametrize("endpoint", ["ws://h/", "h:8480", "", "http://"])
def test_an_endpoint_must_be_an_http_url(endpoint: str) -> None:
    with pytest.raises(BadEndpoint):
        websocket_url(endpoint, {})


def test_waits_are_drawn_from_a_range_that_doubles_up_to_five_seconds() -> None:
    class Highest(Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0
            return b

    backoff = Backoff(Highest())
    waits = [backoff.next_wait_s() for _ in range(8)]
    assert waits == [FIRST_LIMIT_S, 0.5, 1.0, 2.0, 4.0, LIMIT_S, LIMIT_S, LIMIT_S]
    backoff.reset()
    assert backoff.next_wait_s() == FIRST_LIMIT_S


def test_signatures_are_made_with_the_controllers_time_once_it_is_known() -> None:
    clock = FakeClock()
    server_time = ServerTime(clock)
    assert server_time.now() == clock.now()
    real = clock.now() + 3600
    assert server_time.observe({"Date": formatdate(real, usegmt=True)}), "an hour off is worth notice"
    assert abs(server_time.now() - real) <= 1
    assert abs(server_time.skew_s + 3600) <= 1
    clock.advance(100)
    clock.jump_wall(-86400)
    assert abs(server_time.now() - (real + 100)) <= 1
    assert not server_time.observe({"Date": formatdate(real + 100, usegmt=True)})


def test_headers_without_a_date_change_nothing() -> None:
    clock = FakeClock()
    server_time = ServerTime(clock)
    assert not server_time.observe({})
    assert not server_time.observe({"Date": "soon"})
    assert server_time.now() == clock.now()


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        (b'{"__type":"ClientException","message":"m"}', {}, ("ClientException", "m")),
        (b'{"__type":"com.amazonaws.ecs#ClientException","Message":"m"}', {}, ("ClientException", "m")),
        (b'{"message":"m"}', {"X-Amzn-ErrorType": "ServerException:http://x/"}, ("ServerException", "m")),
        (b'{"type":"BlockedException","message":{"message":"m"}}', {}, ("BlockedException", "m")),
        (b'{"InactiveInstanceException":"m"}', {}, ("InactiveInstanceException", "m")),
        (b"<html>gateway</html>", {}, ("UnknownError", "<html>gateway</html>")),
        (b"", {}, ("UnknownError", "")),
        (b"{}", {}, ("UnknownError", "")),
    ],
)  # fmt: skip
def test_errors_are_read_in_every_form_that_ecs_uses(
    body: bytes, headers: dict[str, str], error: tuple[str, str]
) -> None:
    assert read_error(body, headers) == error


def discovery(api: FakeApi, clock: FakeClock) -> Discovery:
    return Discovery(cast("ControlPlaneClient", api), clock, "default")


async def test_endpoints_are_asked_for_once_in_twelve_hours(fake_clock: FakeClock) -> None:
    api = FakeApi({"endpoint": "http://a", "telemetryEndpoint": "http://t"})
    found = discovery(api, fake_clock)
    for _ in range(3):
        endpoints = await found.endpoints(INSTANCE_ARN)
        assert (endpoints.acs, endpoints.telemetry) == ("http://a", "http://t")
    assert len(api.calls) == 1
    await asyncio.sleep(CACHED_FOR_S)
    await found.endpoints(INSTANCE_ARN)
    assert len(api.calls) == 2


async def test_doubted_endpoints_are_asked_for_again_but_kept_if_nobody_answers(
    fake_clock: FakeClock,
) -> None:
    api = FakeApi({"endpoint": "http://a"}, Unreachable("down"), {"endpoint": "http://b"})
    found = discovery(api, fake_clock)
    assert (await found.endpoints(INSTANCE_ARN)).acs == "http://a"
    found.doubt(INSTANCE_ARN)
    assert (await found.endpoints(INSTANCE_ARN)).acs == "http://a"
    assert (await found.endpoints(INSTANCE_ARN)).acs == "http://b"


async def test_without_any_answer_there_is_no_endpoint(fake_clock: FakeClock) -> None:
    with pytest.raises(ApiError):
        await discovery(FakeApi(ApiError("x", "y", "z", 400)), fake_clock).endpoints(INSTANCE_ARN)


class Attempts:
    """Connections that live for given times, then end with given errors; the last one repeats."""

    def __init__(self, clock: FakeClock, *lives: tuple[float, Exception]) -> None:
        self.clock = clock
        self.lives = list(lives)
        self.times: list[float] = []

    async def connect(self) -> None:
        self.times.append(self.clock.monotonic())
        life, error = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        await asyncio.sleep(life)
        raise error

    async def keep_for(self, seconds: float) -> list[float]:
        """The waits between connections within that time."""
        session = asyncio.create_task(
            stay_connected("test", self.connect, clock=self.clock, random=Random(3))
        )
        await asyncio.sleep(seconds)
        session.cancel()
        await asyncio.wait([session])
        return self.times


async def test_a_server_that_accepts_and_drops_at_once_is_not_hammered(fake_clock: FakeClock) -> None:
    times = await Attempts(fake_clock, (0.0, ConnectionEnded("dropped", 1006))).keep_for(3600)
    assert 3600 / LIMIT_S < len(times) < 3600 / 2


async def test_after_a_settled_connection_the_first_wait_is_short(fake_clock: FakeClock) -> None:
    failing = [(0.0, cast("Exception", ConnectionEnded("refused")))] * 20
    attempts = Attempts(fake_clock, *failing, (600.0, ConnectionEnded("lost")), (9999.0, ConnectionEnded("")))
    times = await attempts.keep_for(2000)
    assert times[21] - (times[20] + 600) <= FIRST_LIMIT_S


async def test_an_expired_connection_is_exchanged_at_once(fake_clock: FakeClock) -> None:
    times = await Attempts(fake_clock, (1800.0, ConnectionExpired())).keep_for(5400)
    assert times[:3] == [0.0, 1800.0, 3600.0]


async def test_connections_expire_after_half_an_hour_and_some_jitter(fake_clock: FakeClock) -> None:
    with pytest.raises(ConnectionExpired):
        await expire(Random(1))
    assert AGE_LIMIT_S < fake_clock.monotonic() < AGE_LIMIT_S + AGE_JITTER_S


async def test_the_engine_is_looked_at_when_asked_and_not_more_often_than_useful(
    fake_clock: FakeClock,
) -> None:
    engine = FakeEngine()
    looks: list[float] = []

    class Counting:
        async def healthy(self) -> bool:
            looks.append(fake_clock.monotonic())
            return await engine.healthy()

    health = InstanceHealth(Counting(), fake_clock)
    assert health.status().status == "INITIALIZING"
    running = asyncio.create_task(health.run())
    for _ in range(30):
        health.ask()
        await asyncio.sleep(1)
    assert health.status().status == "OK"
    assert looks == [look * CHECK_INTERVAL_S for look in range(7)]
    engine.is_healthy = False
    health.ask()
    await health.wait_for_change()
    await health.wait_for_change()
    impaired: Any = health.status()
    assert (impaired.type, impaired.status) == ("ContainerRuntime", "IMPAIRED")
    assert impaired.status_reason
    assert impaired.last_status_change == fake_clock.now()
    running.cancel()
    await asyncio.wait([running])
