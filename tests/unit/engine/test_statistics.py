"""Statistics: samples in TCS's figures."""

from agent.engine.cgroups import Running
from agent.engine.samples import Network, Sample
from agent.engine.statistics import Usage

MIB = 1024 * 1024
ID = "0" * 64
CONTAINER = Running(docker_id=ID, task_arn="arn", name="web", own_network=True)


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


def test_block_devices_are_told_of_where_the_kernel_counts_them() -> None:
    usage = Usage(cpus=1)
    for at in (0.0, 5.0):
        usage.add([(CONTAINER, Sample(at, 0.0, MIB, read_bytes=int(4096 * at), written_bytes=512))])
    (metric,) = usage.metrics("arn", since=-1.0)

    storage = metric.storage_stats_set
    assert storage is not None
    assert storage.read_size_bytes is not None
    assert storage.write_size_bytes is not None
    assert (storage.read_size_bytes.max, storage.write_size_bytes.max) == (20480, 512)

    usage.add([(CONTAINER, Sample(10.0, 0.0, MIB))])
    (metric,) = usage.metrics("arn", since=9.0)
    assert metric.storage_stats_set is None


def test_restarts_within_the_window_are_counted() -> None:
    usage = Usage(cpus=1)
    for at, restarts in ((0.0, 3), (5.0, 3), (10.0, 5)):
        usage.add([(CONTAINER, Sample(at, 0.0, MIB, restarts=restarts))])
    (metric,) = usage.metrics("arn", since=4.0)
    assert metric.restart_stats_set is not None
    assert metric.restart_stats_set.restart_count == 2

    usage.add([(CONTAINER, Sample(15.0, 0.0, MIB))])
    (metric,) = usage.metrics("arn", since=14.0)
    assert metric.restart_stats_set is not None


def test_a_container_that_was_started_again_counts_from_nothing() -> None:
    usage = Usage(cpus=1)
    for at, cpu_s, received in ((0.0, 100.0, 5000), (10.0, 1.0, 100)):
        usage.add([(CONTAINER, Sample(at, cpu_s, MIB, Network(rx_bytes=received)))])
    (metric,) = usage.metrics("arn", since=-1.0)

    assert metric.cpu_stats_set is not None
    assert metric.cpu_stats_set.max == 10.0
    assert metric.network_stats_set is not None
    assert metric.network_stats_set.rx_bytes_per_second is not None
    assert metric.network_stats_set.rx_bytes_per_second.max == 10.0


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
    assert usage.of(ID) is None
