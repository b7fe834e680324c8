"""Ports and ranges of ports: in create calls and in reports."""

import socket
from pathlib import Path

import pytest

from agent.engine.changes import NetworkBinding
from agent.engine.errors import HostPortTakenError
from agent.engine.port_ranges import HostPortRanges, dynamic_range
from agent.engine.ports import (
    PortRange,
    container_ports,
    fixed_bindings,
    lasting_ports,
    parse_range,
    port_bindings,
    ranges_of,
    reported_bindings,
)
from agent.engine.records import PortBinding
from agent.protocol import acs
from tests.unit.engine.builders import acs_container, acs_task

RANGE = acs.PortMapping(container_port_range="8000-8002", protocol="udp")
SINGLE = acs.PortMapping(container_port=80, host_port=0, protocol="tcp")


def published(port: int, host_port: int, protocol: str = "udp", host_ip: str = "0.0.0.0") -> PortBinding:
    """A port as the engine tells of it."""
    return PortBinding(port, protocol, host_ip, host_port)


def test_a_range_is_bound_port_by_port_beside_the_ports_that_the_engine_chooses() -> None:
    container = acs_container(port_mappings=(SINGLE, RANGE))

    assert container_ports(container) == ((80, "tcp"), (8000, "udp"), (8001, "udp"), (8002, "udp"))
    assert port_bindings(container, (40000, 50000), {parse_range(RANGE): 41000}) == {
        "80/tcp": [{"HostPort": "40000-50000"}],
        "8000/udp": [{"HostPort": "41000"}],
        "8001/udp": [{"HostPort": "41001"}],
        "8002/udp": [{"HostPort": "41002"}],
    }


def test_a_single_port_may_be_chosen_like_a_range_so_that_it_lasts() -> None:
    fixed = acs.PortMapping(container_port=81, host_port=8081)
    container = acs_container(port_mappings=(SINGLE, fixed, RANGE))
    (lasting,) = lasting_ports(container)

    assert lasting == PortRange(80, 80, "tcp")
    assert port_bindings(container, None, {lasting: 40123}) == {
        "80/tcp": [{"HostPort": "40123"}],
        "81/tcp": [{"HostPort": "8081"}],
    }


def test_a_range_is_reported_in_one_with_its_range_on_the_host() -> None:
    ports = [
        published(8001, 41001),
        published(8000, 41000),
        published(8002, 41002),
        published(80, 49153, "tcp"),
    ]

    assert reported_bindings(ports, (parse_range(RANGE),), with_ipv6=False) == (
        NetworkBinding(bind_ip="0.0.0.0", container_port=80, host_port=49153, protocol="tcp"),
        NetworkBinding(
            bind_ip="0.0.0.0",
            protocol="udp",
            container_port_range="8000-8002",
            host_port_range="41000-41002",
        ),
    )


def test_the_same_ports_of_another_protocol_are_no_part_of_a_range() -> None:
    told = reported_bindings([published(8000, 41000, "tcp")], (parse_range(RANGE),), with_ipv6=False)

    assert told == (NetworkBinding(bind_ip="0.0.0.0", container_port=8000, host_port=41000, protocol="tcp"),)


def test_in_the_hosts_network_a_range_is_the_hosts_own_and_in_the_tasks_own_there_is_no_binding() -> None:
    container = acs_container(port_mappings=(RANGE,))

    assert fixed_bindings(acs_task(container, network_mode="host"), container) == (
        NetworkBinding(
            bind_ip="0.0.0.0", protocol="udp", container_port_range="8000-8002", host_port_range="8000-8002"
        ),
    )
    assert fixed_bindings(acs_task(container, network_mode="awsvpc"), container) == ()


@pytest.mark.parametrize("text", ["8000", "8000-", "9-8", "8-8", "0-5", "a-b", "65000-65536"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="containerPortRange"):
        ranges_of(acs_container(port_mappings=(acs.PortMapping(container_port_range=text),)))


def test_host_ports_in_a_row_avoid_what_is_in_use_and_what_is_reserved() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        used = taken.getsockname()[1]
        ranges = HostPortRanges((used - 1, used + 30), lambda: frozenset({used + 3}))

        assert ranges.choose(2, "tcp") in (used + 1, *range(used + 4, used + 30))


def test_ranges_chosen_one_after_the_other_do_not_meet() -> None:
    ranges = HostPortRanges((22000, 22999), frozenset)
    first, second = ranges.choose(5, "udp"), ranges.choose(5, "udp")

    assert second >= first + 5


def test_where_there_is_no_row_of_that_length_it_is_said() -> None:
    with pytest.raises(HostPortTakenError, match="a host port is unavailable: no 5 free tcp ports"):
        HostPortRanges((22000, 22003), frozenset).choose(5, "tcp")


def test_a_search_goes_round_to_where_it_began() -> None:
    ranges = HostPortRanges((22100, 22103), frozenset)
    ranges.choose(3, "tcp")

    assert ranges.choose(3, "tcp") == 22100


def test_the_kernels_range_holds_unless_another_is_set(tmp_path: Path) -> None:
    kernel = tmp_path / "ip_local_port_range"
    kernel.write_text("32768\t60999\n")

    assert dynamic_range(None, kernel) == (32768, 60999)
    assert dynamic_range((40000, 41000), kernel) == (40000, 41000)
    assert dynamic_range(None, tmp_path / "missing") == (49153, 65535)


def test_a_range_knows_how_many_it_is() -> None:
    assert len(PortRange(8000, 8010, "tcp")) == 11
