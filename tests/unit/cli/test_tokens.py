"""`homeport token` against a stand-in for the controller."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from agent.protocol.joining import JoinToken, token_text
from controller.cli import main
from tests.unit.cli.conftest import StandInController

ID = "0123456789abcdef"
INSTANCE = "1" * 32
ARN = f"arn:aws:ecs:eu-test-1:000000000000:container-instance/lab/{INSTANCE}"
ENTRY = {
    "id": ID,
    "cluster": "lab",
    "state": "good",
    "uses": 2,
    "usedCount": 1,
    "createdAt": 1_767_225_600.0,
    "expiresAt": 1_767_229_200.0,
    "containerInstances": [INSTANCE],
}
CREDENTIALS = {
    "containerInstanceArn": ARN,
    "accessKeyId": "AKIATEST",
    "state": "good",
    "createdAt": 1_767_225_600.0,
    "expiresAt": 1_767_229_200.0,
}


def text(url: str, fingerprint: str = "") -> str:
    return token_text(
        JoinToken(id=ID, secret="s", url=url, cluster="lab", region="r", fingerprint=fingerprint)
    )


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def calls(stand_in: StandInController) -> list[tuple[str, dict[str, Any]]]:
    """What the controller was asked."""

    def create(members: dict[str, Any]) -> dict[str, Any]:
        url = members.get("endpoint", "http://127.0.0.1:8480")
        made_with_authority = "public" not in url
        return {**ENTRY, "endpoint": url, "token": text(url, "sha256:0f" if made_with_authority else "")}

    stand_in.answers |= {
        "HomeportV1.CreateJoinToken": create,
        "HomeportV1.DescribeProgram": lambda members: {"path": "/homeport.tar.gz", "sha256": "0f"},
        "HomeportV1.ListJoinTokens": lambda members: {"joinTokens": [ENTRY], "credentials": [CREDENTIALS]},
        "HomeportV1.RevokeJoinToken": lambda members: {"joinToken": ENTRY},
        "HomeportV1.RevokeAgentCredentials": lambda members: {"containerInstanceArn": ARN, "revoked": 1},
    }
    return stand_in.calls


@pytest.mark.parametrize(
    ("endpoint", "noted"),
    [
        ("https://lab.test:8480", None),
        ("https://127.0.0.1:8480", "reached from this machine alone"),
        ("http://lab.test:8480", "plain HTTP"),
        ("https://public.test", "own authorities must vouch"),
    ],
)
def test_create_prints_the_token_alone_and_notes_beside_it(
    calls: list[tuple[str, dict[str, Any]]], endpoint: str, noted: str | None
) -> None:
    code, out, err = run(
        "token", "create", "--cluster", "lab", "--ttl", "12h", "--uses", "2", "--endpoint", endpoint
    )
    assert code == 0
    assert out == text(endpoint, "" if "public" in endpoint else "sha256:0f") + "\n"
    assert "for 2 machines" in err
    assert (noted in err) if noted else ("note that" not in err)
    expected = {"lifetimeS": 43_200.0, "uses": 2, "cluster": "lab", "endpoint": endpoint}
    assert calls[0] == ("HomeportV1.CreateJoinToken", expected)
    assert f"{endpoint}/homeport.tar.gz -o homeport.tgz && echo '0f  homeport.tgz' | sha256sum -c" in err
    assert err.count(out.strip()) == 1


def test_create_leaves_to_the_controller_what_is_not_said(calls: list[tuple[str, dict[str, Any]]]) -> None:
    code, out, _ = run("token", "create", "--output", "json")
    assert code == 0
    assert json.loads(out)["id"] == ID
    assert calls[0] == ("HomeportV1.CreateJoinToken", {"lifetimeS": 3600.0, "uses": 1})


@pytest.mark.parametrize("ttl", ["", "h", "1", "1w", "-1h", "1.5h"])
def test_a_lifetime_that_is_no_duration_is_refused(calls: list[tuple[str, dict[str, Any]]], ttl: str) -> None:
    code, _, err = run("token", "create", "--ttl", ttl)
    assert code == 2
    assert "30m, 12h or 7d" in err
    assert not calls


def test_list_shows_tokens_and_what_was_given_for_them(calls: list[tuple[str, dict[str, Any]]]) -> None:
    code, out, _ = run("token", "list")
    assert code == 0
    assert calls[0][0] == "HomeportV1.ListJoinTokens"
    for shown in (ID, "lab", "good", "1/2", INSTANCE, "AKIATEST", "2026-01-01 01:00 UTC"):
        assert shown in out
    assert json.loads(run("token", "list", "--output", "json")[1])["joinTokens"] == [ENTRY]


@pytest.mark.parametrize(
    ("arguments", "call", "members"),
    [
        ([ID], "RevokeJoinToken", {"id": ID}),
        ([INSTANCE], "RevokeAgentCredentials", {"containerInstance": INSTANCE}),
        (
            [INSTANCE, "--cluster", "lab"],
            "RevokeAgentCredentials",
            {"containerInstance": INSTANCE, "cluster": "lab"},
        ),
        ([ARN], "RevokeAgentCredentials", {"containerInstance": ARN, "cluster": "lab"}),
    ],
)
def test_revoke_takes_a_token_or_a_container_instance(
    calls: list[tuple[str, dict[str, Any]]], arguments: list[str], call: str, members: dict[str, Any]
) -> None:
    code, out, _ = run("token", "revoke", *arguments)
    assert code == 0
    assert "revoked" in out
    assert calls == [(f"HomeportV1.{call}", members)]


def test_a_controller_without_its_sources_gives_no_line_to_paste(
    stand_in: StandInController, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    stand_in.answers["HomeportV1.DescribeProgram"] = lambda members: {}
    code, out, err = run("token", "create")
    assert code == 0
    assert out.startswith("hpj1-")
    assert "curl" not in err
