"""`homeport user` against a stand-in for the controller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from agent.protocol.clock import SystemClock
from controller.cli import main
from tests.unit.cli.conftest import StandInController

NOW = SystemClock().now()
ALICE = {
    "name": "alice",
    "arn": "arn:aws:iam::000000000000:user/alice",
    "role": "deployer",
    "cluster": "lab",
    "enabled": True,
    "accessKeyId": "AKIAALICE",
    "keyCreatedAt": NOW - 7200,
    "formerKeyEndsAt": NOW + 86_400 * 1.5,
}
BOB = ALICE | {
    "name": "bob",
    "role": "viewer",
    "cluster": None,
    "enabled": False,
    "formerKeyEndsAt": None,
}
MADE = {"user": ALICE, "accessKeyId": "AKIAALICE", "secretAccessKey": "shown once"}


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["user", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def calls(stand_in: StandInController) -> list[tuple[str, dict[str, Any]]]:
    """What the controller was asked."""
    stand_in.answers |= {
        "HomeportV1.CreateUser": lambda _: MADE,
        "HomeportV1.RotateUser": lambda _: MADE,
        "HomeportV1.DisableUser": lambda _: {"user": BOB},
        "HomeportV1.ListUsers": lambda _: {"users": [ALICE, BOB]},
    }
    return stand_in.calls


def test_the_key_of_a_new_user_is_shown(calls: list[tuple[str, dict[str, Any]]]) -> None:
    code, out, err = run("create", "alice", "--role", "deployer", "--cluster", "lab")
    assert code == 0
    assert "alice, deployer in cluster lab" in out
    assert "AKIAALICE" in out
    assert "shown once" in out
    assert "not shown again" in err
    assert calls == [("HomeportV1.CreateUser", {"name": "alice", "role": "deployer", "cluster": "lab"})]


def test_scripts_get_the_key_as_json(calls: list[tuple[str, dict[str, Any]]]) -> None:
    _, out, _ = run("create", "alice", "--role", "viewer", "--output", "json")
    assert json.loads(out) == MADE
    assert calls[0][1] == {"name": "alice", "role": "viewer"}


@pytest.mark.parametrize(("keep", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400)])
def test_a_former_key_is_kept_for_a_duration(
    calls: list[tuple[str, dict[str, Any]]], keep: str, seconds: int
) -> None:
    code, out, _ = run("rotate", "alice", "--keep", keep)
    assert code == 0
    assert "shown once" in out
    assert calls == [("HomeportV1.RotateUser", {"name": "alice", "keepFormerSeconds": seconds})]


@pytest.mark.parametrize("arguments", [("rotate", "a", "--keep", "soon"), ("create", "a", "--role", "king")])
def test_what_cannot_be_meant_is_wrong_usage(
    calls: list[tuple[str, dict[str, Any]]], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments)[0] == 2
    assert not calls


def test_users_are_listed_without_secrets(calls: list[tuple[str, dict[str, Any]]]) -> None:
    _, out, _ = run("list")
    headings, alice, bob = out.splitlines()
    assert headings.split()[0] == "USER"
    assert alice.split() == [
        *("alice", "deployer", "lab", "enabled", "AKIAALICE", "2h"),
        *("ends", "in", "1d"),
    ]
    assert bob.split() == ["bob", "viewer", "all", "disabled", "AKIAALICE", "2h", "-"]
    assert json.loads(run("list", "--output", "json")[1])["users"] == [ALICE, BOB]


def test_a_user_is_disabled(calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert run("disable", "bob")[1] == "user bob is disabled\n"
    assert calls == [("HomeportV1.DisableUser", {"name": "bob"})]
