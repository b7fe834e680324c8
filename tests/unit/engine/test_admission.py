"""The queue for the host's resources."""

from agent.engine.admission import Delay, HostLedger
from agent.protocol.resources import Resources


def wants(
    cpu: int = 0, memory: int = 0, tcp: tuple[int, ...] = (), udp: tuple[int, ...] = (), gpus: int = 0
) -> Resources:
    """A demand."""
    return Resources(cpu, memory, frozenset(tcp), frozenset(udp), gpus)


def ledger() -> HostLedger:
    """A host of one core and 1024 MiB, with ssh reserved."""
    return HostLedger(Resources(1024, 1024, frozenset({22}), frozenset(), 0))


def test_what_fits_is_let_in_at_once_and_the_next_waits_with_a_reason() -> None:
    host = ledger()
    host.ask("a", wants(cpu=800))
    host.ask("b", wants(cpu=400))

    assert host.admit() == ("a",)
    assert tuple(host.delays()) == (Delay("b", "waits for 400 CPU units (224 free)"),)
    host.release("a")
    assert host.admit() == ("b",)


def test_the_head_of_the_queue_holds_up_those_behind_it() -> None:
    host = ledger()
    host.hold("running", wants(memory=512))
    host.ask("large", wants(memory=1024))
    host.ask("small", wants(memory=1))

    assert host.admit() == ()
    assert [delay.reason for delay in host.delays()] == [
        "waits for 1024 MiB of memory (512 free)",
        "waits behind task large",
    ]


def test_a_host_port_is_given_to_one_task_at_a_time_and_udp_is_not_tcp() -> None:
    host = ledger()
    host.ask("a", wants(tcp=(80,)))
    host.ask("b", wants(udp=(80,)))
    host.ask("c", wants(tcp=(80, 81)))

    assert host.admit() == ("a", "b")
    assert tuple(host.delays()) == (Delay("c", "waits for host port 80/tcp"),)


def test_a_task_that_gives_up_waiting_leaves_the_queue() -> None:
    host = ledger()
    host.ask("a", wants(cpu=1024))
    host.ask("b", wants(cpu=1024))
    host.admit()
    host.release("b")

    assert tuple(host.delays()) == ()
    host.release("a")
    assert host.admit() == ()


def test_what_can_never_fit_is_told_at_once() -> None:
    host = ledger()

    assert host.impossible(wants(cpu=2048)) == "needs 2048 CPU units, the instance has 1024"
    assert host.impossible(wants(gpus=1)) == "needs 1 GPUs, the instance has 0"
    assert host.impossible(wants(tcp=(22,))) == "host port 22 is reserved on the instance"
    assert host.impossible(wants(cpu=1024, memory=1024, udp=(22,))) == ""
