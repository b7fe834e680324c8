"""Whoever asks, ends, or is somebody else: the host is never promised twice, and whoever waits gets in."""

from hypothesis import given
from hypothesis import strategies as st

from agent.engine.admission import NOBODY_ELSE, HostLedger, Occupant, Others, Request
from agent.protocol.resources import Resources

CAPACITY = Resources(4, 4, frozenset(), frozenset(), 2, frozenset({"g0", "g1"}))
PORTS = st.frozensets(st.integers(80, 82), max_size=2)


@st.composite
def demands(draw: st.DrawFn) -> Resources:
    """What the host can hold, if it holds nothing else."""
    gpus = draw(st.frozensets(st.sampled_from(sorted(CAPACITY.gpu_ids))))
    amounts = st.integers(0, 4)
    return Resources(draw(amounts), draw(amounts), draw(PORTS), draw(PORTS), len(gpus), gpus)


@st.composite
def others(draw: st.DrawFn) -> Others:
    """Somebody has ports and uses memory."""
    ports = {(port, "tcp"): Occupant(everywhere=True) for port in draw(PORTS)}
    return Others(ports, draw(st.none() | st.integers(0, 4)))


class Host:
    """A ledger, with everything that must hold checked at every step."""

    def __init__(self) -> None:
        self.ledger = HostLedger(CAPACITY)
        self.arrivals: dict[str, int] = {}

    def ask(self, demand: Resources) -> None:
        task_arn = f"t{len(self.arrivals)}"
        self.arrivals[task_arn] = len(self.arrivals)
        self.ledger.ask(Request(task_arn, demand))

    def admit(self, others_there: Others) -> None:
        admitted = self.ledger.admit(others_there)
        held = self.ledger.held()
        assert sum(each.cpu for each in held.values()) <= CAPACITY.cpu
        assert sum(each.memory for each in held.values()) <= CAPACITY.memory
        for sets in (
            [each.ports_tcp for each in held.values()],
            [each.ports_udp for each in held.values()],
            [each.gpu_ids for each in held.values()],
        ):
            assert sum(map(len, sets)) == len(frozenset().union(*sets)), "given twice"
        assert not {(p, "tcp") for arn in admitted for p in held[arn].ports_tcp} & others_there.ports.keys()
        for delay in self.ledger.delays(others_there):
            overtaken = any(self.arrivals[arn] > self.arrivals[delay.task_arn] for arn in admitted)
            assert not overtaken or isinstance(delay.of_others, tuple), "only ports of others stand aside"
            assert delay.reason

    def release(self, number: int) -> None:
        held = sorted(self.ledger.held())
        if held:
            self.ledger.release(held[number % len(held)])


@given(st.lists(st.tuples(st.none() | demands(), st.integers(0, 9), others()), max_size=25))
def test_the_host_is_never_promised_twice_and_whoever_waits_gets_in_at_last(
    steps: list[tuple[Resources | None, int, Others]],
) -> None:
    host = Host()
    for demand, number, others_there in steps:
        if demand is None:
            host.release(number)
        else:
            host.ask(demand)
        host.admit(others_there)

    for _ in steps:
        host.admit(NOBODY_ELSE)
        for task_arn in host.ledger.held():
            host.ledger.release(task_arn)
    assert host.ledger.waiting() == ()
