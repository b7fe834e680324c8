"""What a task takes from its instance."""

import pytest

from agent.protocol.resources import ContainerDemand, Resources, task_resources


def container(
    cpu: int = 0,
    memory: int | None = None,
    reservation: int | None = None,
    ports: tuple[tuple[int, str], ...] = (),
    gpus: int = 0,
) -> ContainerDemand:
    return ContainerDemand(cpu, memory, reservation, ports, gpus)


@pytest.mark.parametrize(
    ("task_cpu", "task_memory", "containers", "cpu", "memory"),
    [
        (None, None, [container(128, 256)], 128, 256),
        (None, None, [container(128, 256), container(64, 512)], 192, 768),
        (None, None, [container(0, 256, 128)], 0, 128),
        (None, None, [container(0, None, 128)], 0, 128),
        (None, None, [container(0, 256, 0)], 0, 256),
        (None, None, [container()], 0, 0),
        (512, 1024, [container(128, 256), container(64, 512)], 512, 1024),
        (512, None, [container(128, 256)], 512, 256),
        (None, 1024, [container(128, 256)], 128, 1024),
        (None, None, [], 0, 0),
    ],
)
def test_cpu_and_memory(
    task_cpu: int | None, task_memory: int | None, containers: list[ContainerDemand], cpu: int, memory: int
) -> None:
    taken = task_resources(task_cpu, task_memory, containers)
    assert (taken.cpu, taken.memory) == (cpu, memory)


def test_only_explicit_host_ports_are_taken_each_for_its_own_protocol() -> None:
    taken = task_resources(
        None,
        None,
        [
            container(ports=((80, "tcp"), (0, "tcp"), (53, "udp"))),
            container(ports=((53, "tcp"), (80, "tcp")), gpus=1),
            container(gpus=2),
        ],
    )
    assert taken == Resources(0, 0, frozenset({80, 53}), frozenset({53}), 3)
