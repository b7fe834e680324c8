"""What task metadata wants to know of a container, out of the engine's answer."""

from agent.engine.details import Mount, NetworkDetails, details_from_engine

BODY = {
    "Config": {"Hostname": "web-1", "Labels": {"team": "a"}},
    "HostConfig": {
        "NetworkMode": "bridge",
        "Dns": ["10.0.0.2"],
        "DnsSearch": None,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
    },
    "State": {"Health": {"Status": "unhealthy", "Log": [{"ExitCode": 0}, {"ExitCode": 7, "Output": "no"}]}},
    "Mounts": [
        {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data", "Destination": "/data"},
        {"Type": "bind", "Source": "/etc", "Destination": "/host-etc"},
    ],
    "NetworkSettings": {
        "Networks": {
            "bridge": {
                "IPAddress": "172.17.0.2",
                "IPPrefixLen": 16,
                "Gateway": "172.17.0.1",
                "GlobalIPv6Address": "",
                "MacAddress": "02:42:ac:11:00:02",
            }
        }
    },
}


def test_an_inspection_is_read_in_all_its_parts() -> None:
    details = details_from_engine(BODY)

    assert (details.network_mode, details.hostname, details.labels) == ("bridge", "web-1", {"team": "a"})
    assert (details.log_driver, details.log_options) == ("json-file", {"max-size": "10m"})
    assert (details.dns, details.dns_search) == (("10.0.0.2",), ())
    assert (details.health_exit_code, details.health_output) == (7, "no")
    assert details.mounts == (
        Mount("data", "/var/lib/docker/volumes/data", "/data"),
        Mount("", "/etc", "/host-etc"),
    )
    assert details.networks == (
        NetworkDetails(
            name="bridge",
            ipv4="172.17.0.2",
            ipv4_prefix=16,
            ipv4_gateway="172.17.0.1",
            mac_address="02:42:ac:11:00:02",
        ),
    )


def test_a_container_without_anything_is_read_too() -> None:
    details = details_from_engine({})
    assert (details.networks, details.mounts, details.health_exit_code) == ((), (), 0)
