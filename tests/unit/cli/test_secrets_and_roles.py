"""`homeport secret` and `homeport role` against a stand-in for the controller."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from controller.cli import main
from tests.unit.cli.conftest import StandInController

SECRET = {
    "name": "db/password",
    "arn": "arn:aws:secretsmanager:eu-test-1:000000000000:secret:db/password-abcdef",
    "parameterArn": "arn:aws:ssm:eu-test-1:000000000000:parameter/db/password",
    "createdAt": 1_767_225_600.0,
    "changedAt": 1_767_225_600.0,
    "versions": [{"versionId": "v1", "createdAt": 1_767_225_600.0, "stages": ["AWSCURRENT"]}],
}
ROLE = {
    "name": "worker",
    "allowed": ["viewer", "RunTask"],
    "passes": ["friend"],
    "operations": ["ListTasks", "RunTask"],
    "assumedArn": "",
    "changedAt": 1_767_225_600.0,
}


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments), input=stdin)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def calls(stand_in: StandInController) -> list[tuple[str, dict[str, Any]]]:
    """What the controller was asked."""
    stand_in.answers |= {
        "HomeportV1.PutSecret": lambda members: {"secret": SECRET},
        "HomeportV1.ListSecrets": lambda members: {"secrets": [SECRET]},
        "HomeportV1.DeleteSecret": lambda members: {},
        "HomeportV1.PutTaskRole": lambda members: {"role": ROLE},
        "HomeportV1.ListTaskRoles": lambda members: {"roles": [ROLE]},
        "HomeportV1.DeleteTaskRole": lambda members: {},
    }
    return stand_in.calls


@pytest.mark.parametrize(
    ("stdin", "value"),
    [
        ("correct horse\n", "correct horse"),
        ("a=1\nb=2\n", "a=1\nb=2"),
        ("no end", "no end"),
        ("two\n\n", "two\n"),
    ],
)
def test_a_value_comes_from_standard_input_without_its_last_line_end(
    calls: list[tuple[str, dict[str, Any]]], stdin: str, value: str
) -> None:
    status, output, _ = run("secret", "set", "db/password", stdin=stdin)
    assert status == 0
    assert calls[-1][1] == {"name": "db/password", "value": value}
    assert output == f"db/password is set: {SECRET['arn']}\n"


def test_secrets_are_listed_for_people_and_for_scripts(calls: list[tuple[str, dict[str, Any]]]) -> None:
    _, table, _ = run("secret", "list")
    heading, line = table.splitlines()
    assert heading.split() == ["SECRET", "VERSIONS", "CHANGED", "ARN"]
    assert line.split()[:2] == ["db/password", "1"]
    assert json.loads(run("secret", "list", "--output", "json")[1]) == {"secrets": [SECRET]}


def test_several_secrets_are_removed_at_once(calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert run("secret", "rm", "a", "b")[0] == 0
    assert [members for _, members in calls] == [{"name": "a"}, {"name": "b"}]


def test_what_a_role_permits_is_given_one_by_one_or_as_a_list(
    calls: list[tuple[str, dict[str, Any]]],
) -> None:
    allow = ("--allow", "viewer", "--allow", "RunTask, StopTask,")
    status, output, _ = run("role", "set", "worker", *allow, "--pass", "other")
    assert status == 0
    assert calls[-1][1] == {
        "name": "worker",
        "allowed": ["viewer", "RunTask", "StopTask"],
        "passes": ["other"],
        "assumedArn": "",
    }
    assert output == "role worker permits 2 operations in its cluster\n"


def test_roles_are_listed_and_removed(calls: list[tuple[str, dict[str, Any]]]) -> None:
    heading, line = run("role", "list")[1].splitlines()
    assert heading.split() == ["ROLE", "PERMITS", "PASSES", "AWS", "ROLE", "CHANGED"]
    assert line.split()[:4] == ["worker", "viewer,RunTask", "friend", "-"]
    assert run("role", "rm", "worker")[0] == 0
    assert calls[-1][1] == {"name": "worker"}


def test_on_a_terminal_a_value_is_asked_for_twice_and_not_shown(
    calls: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **how: Any) -> str:
        asked.append(how)
        return "typed"

    monkeypatch.setattr("controller.cli.secrets.click.prompt", prompt)
    monkeypatch.setattr("controller.cli.secrets._is_terminal", lambda: True)
    assert run("secret", "set", "db/password")[0] == 0
    assert calls[-1][1]["value"] == "typed"
    assert asked == [{"hide_input": True, "confirmation_prompt": True}]
