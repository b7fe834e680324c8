"""Statistics from recorded cgroup files and /proc."""

from pathlib import Path

import pytest

from agent.engine.statistics import (
    CgroupReader,
    Network,
    Running,
    Sample,
    Usage,
    parse_interfaces,
    sample_from_engine,
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


def write(root: Path, files: dict[str, str]) -> None:
    """Lay out files below ``root``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def proc(tmp_path: Path) -> Path:
    """A /proc with one process."""
    write(tmp_path / "proc", {"41/net/dev": NET_DEV})
    return tmp_path / "proc"


PLACES = [
    f"ecs/arn/{ID}",
    f"ecstasks.slice/ecstasks-arn.slice/docker-{ID}.scope",
    f"docker/{ID}",
    f"system.slice/docker-{ID}.scope",
]


@pytest.mark.parametrize("place", PLACES)
def test_version_one_files_are_read(tmp_path: Path, place: str) -> None:
    files = {
        f"cpuacct/{place}/cpuacct.usage": "2500000000\n",
        f"cpuacct/{place}/cgroup.procs": "41\n42\n",
        f"memory/{place}/memory.usage_in_bytes": f"{10 * MIB}\n",
        f"memory/{place}/memory.stat": f"cache 1\ntotal_cache {4 * MIB}\ntotal_rss 7\n",
    }
    write(tmp_path / "cgroup", files)
    sample = CgroupReader(tmp_path / "cgroup", proc(tmp_path)).read(CONTAINER, at=7.0)

    assert sample == Sample(7.0, 2.5, 6 * MIB, Network(1050, 11, 1, 2, 507, 6, 3, 4))


@pytest.mark.parametrize("place", PLACES)
def test_version_two_files_are_read_under_either_driver(tmp_path: Path, place: str) -> None:
    files = {
        "cgroup.controllers": "cpu memory\n",
        f"{place}/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
        f"{place}/cgroup.procs": "41\n",
        f"{place}/memory.current": f"{8 * MIB}\n",
        f"{place}/memory.stat": f"anon 1\ninactive_file {3 * MIB}\n",
    }
    write(tmp_path / "cgroup", files)
    sample = CgroupReader(tmp_path / "cgroup", proc(tmp_path)).read(CONTAINER, at=7.0)

    assert sample is not None
    assert (sample.cpu_s, sample.memory) == (1.5, 5 * MIB)


def test_a_container_whose_files_are_gone_has_no_sample(tmp_path: Path) -> None:
    assert CgroupReader(tmp_path, proc(tmp_path)).read(CONTAINER, at=7.0) is None


def test_the_loopback_interface_does_not_count() -> None:
    assert parse_interfaces(NET_DEV).rx_bytes == 1050


def test_the_engines_own_figures_take_the_place_of_files() -> None:
    body = {
        "cpu_stats": {"cpu_usage": {"total_usage": 3_000_000_000}},
        "memory_stats": {"usage": 9 * MIB, "stats": {"inactive_file": MIB}},
    }
    assert sample_from_engine(body, 1.0) == Sample(1.0, 3.0, 8 * MIB)
    with pytest.raises(KeyError):
        sample_from_engine({"cpu_stats": {}, "memory_stats": {}}, 1.0)


def test_use_is_told_in_percent_of_the_whole_machine_and_in_mib() -> None:
    usage = Usage(cpus=4)
    for at, cpu_s, mib in ((0.0, 0.0, 10), (5.0, 10.0, 20), (10.0, 11.0, 40)):
        usage.add([(CONTAINER, Sample(at, cpu_s, mib * MIB, Network(rx_bytes=int(at * 100))))])
    (metric,) = usage.metrics("arn", since=-1.0)

    cpu, memory = metric.cpu_stats_set, metric.memory_stats_set
    assert cpu is not None
    assert memory is not None
    assert (cpu.min, cpu.max, cpu.sum, cpu.sample_count) == (5.0, 50.0, 55.0, 2)
    assert (memory.min, memory.max, memory.sum, memory.sample_count) == (20.0, 40.0, 60.0, 2)
    network = metric.network_stats_set
    assert network is not None
    assert network.rx_bytes_per_second is not None
    assert network.rx_bytes_per_second.max == 100.0


def test_only_samples_of_the_window_count_and_one_from_before_it_is_where_they_start() -> None:
    usage = Usage(cpus=1)
    for at in range(0, 50, 5):
        usage.add([(CONTAINER, Sample(float(at), float(at), MIB))])
    (metric,) = usage.metrics("arn", since=20.0)

    assert metric.cpu_stats_set is not None
    assert metric.cpu_stats_set.sample_count == 5


def test_a_container_with_one_sample_and_one_that_ended_have_no_figures() -> None:
    usage = Usage(cpus=1)
    usage.add([(CONTAINER, Sample(0.0, 0.0, MIB))])
    assert usage.metrics("arn", since=-1.0) == ()
    usage.add([])
    assert usage.latest() == ()
