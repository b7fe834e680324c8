"""The queue for the host's resources."""

from typing import Any

import pytest

from agent.engine.admission import HAS_TO_WAIT_ITS_TURN, Delay, HostLedger, Occupant, Others, Request
from agent.protocol.resources import Resources


def wants(
    cpu: int = 0,
    memory: int = 0,
    tcp: tuple[int, ...] = (),
    udp: tuple[int, ...] = (),
    gpus: tuple[str, ...] = (),
) -> Resources:
    """A demand."""
    return Resources(cpu, memory, frozenset(tcp), frozenset(udp), len(gpus), frozenset(gpus))


def asks(task_arn: str, *, host_network: bool = False, **members: Any) -> Request:
    """A request of a task for ``wants(**members)``."""
    return Request(task_arn, wants(**members), host_network)


def ledger() -> HostLedger:
    """A host of one core and 1024 MiB, with ssh reserved."""
    return HostLedger(Resources(1024, 1024, frozenset({22}), frozenset(), 0))


def test_what_fits_is_let_in_at_once_and_the_next_waits_with_a_reason() -> None:
    host = ledger()
    host.ask(asks("a", cpu=800))
    host.ask(asks("b", cpu=400))

    assert host.admit() == ("a",)
    assert tuple(host.delays()) == (Delay("b", "waits for 400 CPU units (224 free)"),)
    host.release("a")
    assert host.admit() == ("b",)


def test_the_head_of_the_queue_holds_up_those_behind_it() -> None:
    host = ledger()
    host.hold("running", wants(memory=512))
    host.ask(asks("large", memory=1024))
    host.ask(asks("small", memory=1))

    assert host.admit() == ()
    assert [delay.reason for delay in host.delays()] == [
        "waits for 1024 MiB of memory (512 free)",
        HAS_TO_WAIT_ITS_TURN,
    ]


def test_a_host_port_is_given_to_one_task_at_a_time_and_udp_is_not_tcp() -> None:
    host = ledger()
    host.ask(asks("a", tcp=(80,)))
    host.ask(asks("b", udp=(80,)))
    host.ask(asks("c", tcp=(80, 81)))

    assert host.admit() == ("a", "b")
    assert tuple(host.delays()) == (Delay("c", "waits for host port 80/tcp, held by task a"),)


def test_a_task_that_gives_up_waiting_leaves_the_queue() -> None:
    host = ledger()
    host.ask(asks("a", cpu=1024))
    host.ask(asks("b", cpu=1024))
    host.admit()
    host.release("b")

    assert tuple(host.delays()) == ()
    host.release("a")
    assert host.admit() == ()


def test_what_can_never_fit_is_told_at_once() -> None:
    host = ledger()

    assert host.impossible(wants(cpu=2048)) == "needs 2048 CPU units, the instance has 1024"
    assert host.impossible(wants(gpus=("g0",))) == "needs 1 GPUs, the instance has 0"
    assert host.impossible(wants(tcp=(22,))) == "host port 22 is reserved on the instance"
    assert host.impossible(wants(cpu=1024, memory=1024, udp=(22,))) == ""


def test_gpus_are_given_by_their_ids() -> None:
    host = HostLedger(Resources(1024, 1024, frozenset(), frozenset(), 2, frozenset({"g0", "g1"})))
    host.ask(asks("a", gpus=("g1",)))
    host.ask(asks("b", gpus=("g1",)))

    assert host.admit() == ("a",)
    assert tuple(host.delays()) == (Delay("b", "waits for GPU g1, held by task a"),)
    assert host.impossible(wants(gpus=("g7",))) == "GPU g7 is not on the instance"


NGINX = Occupant(everywhere=True, name="process nginx (pid 7)")
RESOLVER = Occupant(everywhere=False, name="process resolved (pid 8)")


def test_a_port_of_others_counts_as_taken_and_those_behind_go_on() -> None:
    host, others = ledger(), Others({(80, "tcp"): NGINX})
    host.ask(asks("a", tcp=(80,)))
    host.ask(asks("b", udp=(80,)))
    host.ask(asks("c", cpu=2048))
    host.ask(asks("d", tcp=(81,)))

    assert host.admit(others) == ("b",)
    assert tuple(host.delays(others)) == (
        Delay("a", "waits for host port 80/tcp, held by process nginx (pid 7)", (80, "tcp")),
        Delay("c", "waits for 2048 CPU units (1024 free)"),
        Delay("d", HAS_TO_WAIT_ITS_TURN),
    )
    assert host.admit() == ("a",)


@pytest.mark.parametrize("host_network", [True, False])
def test_a_port_of_one_address_is_no_obstacle_within_the_hosts_own_network(host_network: bool) -> None:
    host = ledger()
    host.ask(asks("dns", udp=(53,), host_network=host_network))

    assert host.admit(Others({(53, "udp"): RESOLVER})) == (("dns",) if host_network else ())


def test_memory_in_use_counts_as_taken_and_holds_up_those_behind() -> None:
    host, others = ledger(), Others(memory_mib=300)
    host.ask(asks("a", memory=301))
    host.ask(asks("b", memory=10))

    assert host.admit(others) == ()
    assert tuple(host.delays(others)) == (
        Delay("a", "waits for 301 MiB of memory, which are not reserved but in use on the host", True),
        Delay("b", HAS_TO_WAIT_ITS_TURN),
    )
    assert host.admit(Others(memory_mib=301)) == ("a", "b")


def test_what_a_task_holds_already_is_not_asked_of_others() -> None:
    """As after a restart: its own container has the port."""
    host = ledger()
    host.hold("running", wants(tcp=(80,)))

    assert host.held() == {"running": wants(tcp=(80,))}
    assert host.admit(Others({(80, "tcp"): NGINX})) == ()
    assert tuple(host.delays(Others({(80, "tcp"): NGINX}))) == ()
