"""Samples, and statistics in Docker's shape: from recorded cgroup files and from the engine's figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.engine.cgroups import Place, Places, Running
from agent.engine.docker_stats import Moment, docker_stats, with_rates
from agent.engine.samples import (
    Network,
    Sample,
    machine_cpu_s,
    parse_interfaces,
    sample_from_engine,
    summed,
    take_sample,
)

MIB = 1024 * 1024
ID = "0" * 64
CONTAINER = Running(docker_id=ID, task_arn="arn", name="web", own_network=True)
NET_DEV = """Inter-|   Receive                      |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier
    lo:  999 9 0 0 0 0 0 0 999 9 0 0 0 0 0 0
  eth0: 1000 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0
  eth1:   50 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0
"""
PLACES = [
    f"ecs/arn/{ID}",
    f"ecstasks.slice/ecstasks-arn.slice/docker-{ID}.scope",
    f"docker/{ID}",
    f"system.slice/docker-{ID}.scope",
]
MOMENT = Moment(now=1_000_000.0, monotonic=100.0, machine_s=4000.0, machine_memory=1024 * MIB)


def write(root: Path, files: dict[str, str]) -> None:
    """Lay out files below ``root``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def version_one(root: Path, place: str) -> None:
    """The files of a container under cgroup v1, as recorded from one."""
    files = {
        f"cpuacct/{place}/cpuacct.usage": "2500000000\n",
        f"cpuacct/{place}/cpuacct.usage_percpu": "1500000000 1000000000 \n",
        f"cpuacct/{place}/cpuacct.stat": "user 150\nsystem 90\n",
        f"cpuacct/{place}/cgroup.procs": "41\n42\n",
        f"cpu/{place}/cpu.stat": "nr_periods 7\nnr_throttled 2\nthrottled_time 55\n",
        f"memory/{place}/memory.usage_in_bytes": f"{10 * MIB}\n",
        f"memory/{place}/memory.max_usage_in_bytes": f"{12 * MIB}\n",
        f"memory/{place}/memory.limit_in_bytes": "9223372036854771712\n",
        f"memory/{place}/memory.failcnt": "0\n",
        f"memory/{place}/memory.stat": f"cache 1\ntotal_cache {4 * MIB}\ntotal_rss 7\n",
        f"blkio/{place}/blkio.throttle.io_service_bytes_recursive": (
            "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 4608\n8:0 Total 4608\n8:16 Read 1\nTotal 4609\n"
        ),
        f"blkio/{place}/blkio.throttle.io_serviced_recursive": "8:0 Read 2\nTotal 2\n",
        f"pids/{place}/pids.current": "2\n",
        f"pids/{place}/pids.max": "max\n",
    }
    write(root, files)


def version_two(root: Path, place: str) -> None:
    """The files of a container under cgroup v2."""
    cpu = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n"
    files = {
        "cgroup.controllers": "cpu io memory pids\n",
        f"{place}/cpu.stat": f"{cpu}nr_periods 3\nnr_throttled 1\nthrottled_usec 9\n",
        f"{place}/cgroup.procs": "41\n",
        f"{place}/memory.current": f"{8 * MIB}\n",
        f"{place}/memory.max": f"{64 * MIB}\n",
        f"{place}/memory.stat": f"anon 1\ninactive_file {3 * MIB}\n",
        f"{place}/io.stat": "8:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n",
        f"{place}/pids.current": "1\n",
        f"{place}/pids.max": "100\n",
    }
    write(root, files)


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """A machine without any container yet, whose process 41 is one of the container's."""
    write(tmp_path / "proc", {"41/net/dev": NET_DEV, "stat": "cpu  100 2 30 400 5 0 7 9 0 0\ncpu0 1\n"})
    (tmp_path / "cgroup").mkdir()
    found = Places(tmp_path / "cgroup", tmp_path / "proc")
    yield found
    found.keep_only(set())


def found(places: Places) -> Place:
    """The container's cgroup."""
    place = places.of(CONTAINER)
    assert place is not None
    return place


@pytest.mark.parametrize("place", PLACES)
def test_version_one_files_are_read_under_either_driver(tmp_path: Path, places: Places, place: str) -> None:
    version_one(tmp_path / "cgroup", place)

    assert take_sample(found(places), CONTAINER, at=7.0, machine_s=5.0) == Sample(
        at=7.0,
        cpu_s=2.5,
        memory=6 * MIB,
        network=Network(1050, 11, 1, 2, 507, 6, 3, 4),
        user_s=1.5,
        kernel_s=0.9,
        machine_s=5.0,
        read_bytes=4097,
        written_bytes=512,
    )


@pytest.mark.parametrize("place", PLACES)
def test_version_two_files_are_read_under_either_driver(tmp_path: Path, places: Places, place: str) -> None:
    version_two(tmp_path / "cgroup", place)
    sample = take_sample(found(places), CONTAINER, at=7.0, machine_s=5.0)

    assert (sample.cpu_s, sample.user_s, sample.kernel_s) == (1.5, 1.0, 0.5)
    assert (sample.memory, sample.read_bytes, sample.written_bytes) == (5 * MIB, 4096, 512)


def test_a_container_whose_files_are_not_there_has_no_place(places: Places) -> None:
    assert places.of(CONTAINER) is None


def test_without_the_block_controller_everything_else_is_read(tmp_path: Path, places: Places) -> None:
    version_two(tmp_path / "cgroup", PLACES[0])
    (tmp_path / "cgroup" / PLACES[0] / "io.stat").unlink()
    sample = take_sample(found(places), CONTAINER, at=7.0, machine_s=5.0)

    assert (sample.cpu_s, sample.read_bytes, sample.written_bytes) == (1.5, None, None)


def test_another_process_takes_the_place_of_one_that_ended(tmp_path: Path, places: Places) -> None:
    version_one(tmp_path / "cgroup", PLACES[0])
    place = found(places)
    assert place.interfaces() == NET_DEV
    (tmp_path / "proc/41/net/dev").unlink()
    (tmp_path / "proc/41/net").rmdir()
    (tmp_path / "proc/41").rmdir()
    write(tmp_path, {"proc/42/net/dev": "others"})
    write(tmp_path / "cgroup", {f"cpuacct/{PLACES[0]}/cgroup.procs": "42\n"})

    assert place.interfaces() == "others"


def test_the_loopback_interface_does_not_count() -> None:
    interfaces = parse_interfaces(NET_DEV)
    assert set(interfaces) == {"eth0", "eth1"}
    assert summed(interfaces.values()).rx_bytes == 1050
    assert summed([]) == Network()


def test_the_machines_cpu_time_is_that_which_docker_counts(places: Places) -> None:
    assert machine_cpu_s(places.proc) == 5.44


def test_the_engines_own_figures_take_the_place_of_files() -> None:
    interface = {"rx_bytes": 5, "rx_packets": 1, "rx_errors": 0, "rx_dropped": 0}
    body: dict[str, Any] = {
        "cpu_stats": {
            "cpu_usage": {"total_usage": 3_000_000_000, "usage_in_usermode": 2_000_000_000},
            "system_cpu_usage": 9_000_000_000,
        },
        "memory_stats": {"usage": 9 * MIB, "stats": {"inactive_file": MIB}},
        "networks": {"eth0": interface, "eth1": interface},
        "blkio_stats": {
            "io_service_bytes_recursive": [{"op": "Read", "value": 3}, {"op": "Write", "value": 4}]
        },
    }
    assert sample_from_engine(body, CONTAINER, 1.0) == Sample(
        at=1.0,
        cpu_s=3.0,
        memory=8 * MIB,
        network=Network(rx_bytes=10, rx_packets=2),
        user_s=2.0,
        machine_s=9.0,
        read_bytes=3,
        written_bytes=4,
    )
    with pytest.raises(KeyError):
        sample_from_engine({"cpu_stats": {}, "memory_stats": {}}, CONTAINER, 1.0)


def test_dockers_statistics_are_told_in_its_shape_from_version_one(tmp_path: Path, places: Places) -> None:
    version_one(tmp_path / "cgroup", PLACES[0])
    samples = [
        Sample(at, 1.0, MIB, Network(rx_bytes=int(at) * 10), 0.75, 0.25, machine_s=3990.0)
        for at in (93.0, 98.0)
    ]
    stats = docker_stats(found(places), CONTAINER, "ecs-web", MOMENT, samples)

    assert (stats["read"], stats["preread"]) == ("1970-01-12T13:46:40Z", "1970-01-12T13:46:38Z")
    assert (stats["name"], stats["id"], stats["pids_stats"]) == ("/ecs-web", ID, {"current": 2})
    assert stats["cpu_stats"]["cpu_usage"] == {
        "total_usage": 2_500_000_000,
        "percpu_usage": [1_500_000_000, 1_000_000_000],
        "usage_in_kernelmode": 900_000_000,
        "usage_in_usermode": 1_500_000_000,
    }
    assert stats["cpu_stats"]["system_cpu_usage"] == 4_000_000_000_000
    assert stats["cpu_stats"]["throttling_data"] == {
        "periods": 7,
        "throttled_periods": 2,
        "throttled_time": 55,
    }
    assert stats["precpu_stats"]["cpu_usage"]["total_usage"] == 1_000_000_000
    assert stats["precpu_stats"]["system_cpu_usage"] == 3_990_000_000_000
    assert stats["memory_stats"]["limit"] == 1024 * MIB
    assert stats["memory_stats"]["stats"]["total_cache"] == 4 * MIB
    assert stats["networks"]["eth0"]["tx_dropped"] == 4
    assert stats["network_rate_stats"] == {"rx_bytes_per_sec": 10.0, "tx_bytes_per_sec": 0.0}
    first = stats["blkio_stats"]["io_service_bytes_recursive"][0]
    assert first == {"major": 8, "minor": 0, "op": "Read", "value": 4096}


def test_dockers_statistics_are_told_in_its_shape_from_version_two(tmp_path: Path, places: Places) -> None:
    version_two(tmp_path / "cgroup", PLACES[0])
    stats = docker_stats(found(places), CONTAINER, "ecs-web", MOMENT, [])

    assert stats["preread"] == "0001-01-01T00:00:00Z"
    assert stats["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] == 1_500_000_000
    assert stats["cpu_stats"]["throttling_data"]["throttled_time"] == 9000
    assert (stats["memory_stats"]["usage"], stats["memory_stats"]["limit"]) == (8 * MIB, 64 * MIB)
    assert stats["pids_stats"] == {"current": 1, "limit": 100}
    assert [entry["value"] for entry in stats["blkio_stats"]["io_serviced_recursive"]] == [2, 1]
    assert "network_rate_stats" not in stats


def test_figures_of_hardly_a_moment_ago_are_not_what_to_compare_with(tmp_path: Path, places: Places) -> None:
    version_two(tmp_path / "cgroup", PLACES[0])
    samples = [Sample(at, at, MIB) for at in (94.0, 99.9)]
    stats = docker_stats(found(places), CONTAINER, "ecs-web", MOMENT, samples)

    assert stats["precpu_stats"]["cpu_usage"]["total_usage"] == 94_000_000_000


def test_rates_need_two_samples_with_a_network() -> None:
    alone = Sample(1.0, 0.0, 0, Network())
    assert with_rates([alone]) == {}
    assert with_rates([Sample(0.0, 0.0, 0), alone]) == {}
