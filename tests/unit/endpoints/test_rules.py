"""The netfilter rules for the tasks' address, as text that goes to and comes from iptables."""

from agent.endpoints.rules import default_interfaces, installation, parse_saved, removal

EMPTY = """*filter
:INPUT ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [12:700]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
"""
INSTALLED = """*filter
:INPUT ACCEPT [0:0]
:HOMEPORT-LOCALNET - [0:0]
:HOMEPORT-LOOPBACK - [7:420]
-A INPUT -d 127.0.0.0/8 -j HOMEPORT-LOOPBACK
-A HOMEPORT-LOOPBACK -d 127.0.0.1/32 -p tcp -m tcp --dport 51679 -m conntrack --ctstate DNAT -j ACCEPT
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [12:700]
:HOMEPORT-TASKS-IN - [0:0]
:HOMEPORT-TASKS-OUT - [0:0]
-A PREROUTING -d 169.254.170.2/32 -j HOMEPORT-TASKS-IN
-A OUTPUT -d 169.254.170.2/32 -j HOMEPORT-TASKS-OUT
-A HOMEPORT-TASKS-IN -d 169.254.170.2/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 127.0.0.1:51679
COMMIT
"""


def test_rules_lead_to_the_agent_and_leave_out_what_comes_from_outside() -> None:
    script = installation(parse_saved(EMPTY), "127.0.0.1", 4242, ("eth0",), mark_localnet=True)

    lines = script.splitlines()
    incoming = [line for line in lines if line.startswith("-A HOMEPORT-TASKS-IN")]
    assert incoming == [
        "-A HOMEPORT-TASKS-IN -i eth0 -j RETURN",
        "-A HOMEPORT-TASKS-IN -d 169.254.170.2/32 -p tcp -m tcp --dport 80 "
        "-j DNAT --to-destination 127.0.0.1:4242",
    ]
    assert "-I INPUT 1 -d 127.0.0.0/8 -j HOMEPORT-LOOPBACK" in lines
    assert ":HOMEPORT-LOCALNET - [0:0]" in lines
    assert [line for line in lines if line.startswith("-D")] == []
    assert [line for line in lines if line[0] in "*C"] == ["*nat", "COMMIT", "*filter", "COMMIT"]


def test_what_is_there_already_is_replaced_and_the_mark_stays() -> None:
    script = installation(parse_saved(INSTALLED), "127.0.0.1", 51679, (), mark_localnet=False)

    lines = script.splitlines()
    assert lines.count("-D PREROUTING -d 169.254.170.2/32 -j HOMEPORT-TASKS-IN") == 1
    assert lines.count("-I PREROUTING 1 -d 169.254.170.2/32 -j HOMEPORT-TASKS-IN") == 1
    assert ":HOMEPORT-LOCALNET - [0:0]" in lines


def test_nothing_of_ours_is_left_after_a_removal_and_nothing_else_is_touched() -> None:
    assert removal(parse_saved(INSTALLED)).splitlines() == [
        "*nat",
        "-D PREROUTING -d 169.254.170.2/32 -j HOMEPORT-TASKS-IN",
        "-D OUTPUT -d 169.254.170.2/32 -j HOMEPORT-TASKS-OUT",
        "-F HOMEPORT-TASKS-IN",
        "-F HOMEPORT-TASKS-OUT",
        "-X HOMEPORT-TASKS-IN",
        "-X HOMEPORT-TASKS-OUT",
        "COMMIT",
        "*filter",
        "-D INPUT -d 127.0.0.0/8 -j HOMEPORT-LOOPBACK",
        "-F HOMEPORT-LOOPBACK",
        "-F HOMEPORT-LOCALNET",
        "-X HOMEPORT-LOOPBACK",
        "-X HOMEPORT-LOCALNET",
        "COMMIT",
    ]
    assert removal(parse_saved(EMPTY)) == ""


def test_counters_make_no_difference_and_a_missing_rule_does() -> None:
    installed = parse_saved(INSTALLED).ours()

    assert parse_saved(INSTALLED.replace("[7:420]", "[9:999]")).ours() == installed
    assert parse_saved(INSTALLED.replace("-A INPUT", "# -A INPUT")).ours() != installed


def test_a_rule_of_somebody_elses_for_the_address_is_seen() -> None:
    theirs = (
        "-A PREROUTING -d 169.254.170.2/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 127.0.0.1:51679"
    )

    assert parse_saved(INSTALLED).foreign() == ""
    assert parse_saved(f"*nat\n{theirs}\nCOMMIT\n").foreign() == theirs


def test_the_interfaces_of_default_routes_lead_to_the_outside() -> None:
    routes = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "vpn\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"
        "eth1\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    )
    assert default_interfaces(routes) == ("eth0", "eth1")
