"""`homeport env` and `homeport agent-config`."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.cli import main
from tests.unit.cli.conftest import SECRET, StandInController, write_profile


def test_a_shell_that_evaluates_env_holds_the_secret_as_it_is(tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:8480")
    exports = CliRunner().invoke(main, ["env"]).stdout
    script = f'{exports}\nprintf "%s\\n" "$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL_ECS"'
    result = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=10, env={}
    )
    assert result.stdout.splitlines() == [SECRET, "http://127.0.0.1:8480"]


def test_env_exports_keys_region_and_an_endpoint_for_each_service(tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:8480")
    found = json.loads(CliRunner().invoke(main, ["env", "--output", "json"]).stdout)
    endpoints = {name: value for name, value in found.items() if name.startswith("AWS_ENDPOINT_URL_")}
    assert set(endpoints) >= {"AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL_STS"}
    assert set(endpoints.values()) == {"http://127.0.0.1:8480"}
    assert {name: value for name, value in found.items() if name not in endpoints} == {
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-test-1",
    }


def test_env_warns_of_a_variable_in_the_way_and_leaves_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(tmp_path, "http://127.0.0.1:8480")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else")
    result = CliRunner().invoke(main, ["env"])
    assert "AWS_SESSION_TOKEN" in result.stderr
    assert "SESSION" not in result.stdout


def test_env_without_a_controller_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.cli.profile.SYSTEM_DATA_DIR", tmp_path / "no controller of root's")
    result = CliRunner().invoke(main, ["env", "--data-dir", str(tmp_path / "empty")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no controller has run on" in result.stderr
    assert "homeport up" in result.stderr


def test_env_points_at_roots_controller_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cli.profile.SYSTEM_DATA_DIR", tmp_path)
    result = CliRunner().invoke(main, ["env", "--data-dir", str(tmp_path / "empty")])
    assert result.exit_code == 1
    assert f"root's is in {tmp_path}: use sudo" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_env_of_somebody_elses_controller_says_who_may_read_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    write_profile(tmp_path, "http://127.0.0.1:8480")
    os.seteuid(65534)
    try:
        result = CliRunner().invoke(main, ["env"])
    finally:
        os.seteuid(0)
    assert result.exit_code == 1
    assert "not permitted to read" in result.stderr
    assert "sudo" in result.stderr


def test_env_with_a_damaged_profile_says_so(tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:8480")
    (tmp_path / "client.json").write_text("{")
    result = CliRunner().invoke(main, ["env"])
    assert result.exit_code == 1
    assert "client.json" in result.stderr


def test_agent_config_is_what_an_unmodified_agent_needs(stand_in: StandInController, tmp_path: Path) -> None:
    stand_in.answers["HomeportV1.EnsureAgentAccessKey"] = lambda members: {
        "accessKeyId": f"AKIDAGENT{members['cluster']}",
        "secretAccessKey": "agent-secret",
    }
    output = CliRunner().invoke(main, ["agent-config", "--cluster", "lab"]).stdout
    found = dict(line.split("=", 1) for line in output.splitlines())
    assert found["AWS_ACCESS_KEY_ID"] == "AKIDAGENTlab"
    assert found["AWS_SECRET_ACCESS_KEY"] == "agent-secret"
    assert found["AWS_DEFAULT_REGION"] == "eu-test-1"
    assert found["ECS_BACKEND_HOST"] == stand_in.endpoint
    assert found["ECS_CLUSTER"] == "lab"
    assert found["ECS_EXTERNAL"] == "true"
    assert found["ECS_DATADIR"] == found["ECS_HOST_DATA_DIR"] + "/data"
    assert "json-file" in json.loads(found["ECS_AVAILABLE_LOGGING_DRIVERS"])
    assert not any(" " in line for line in output.splitlines())
    assert SECRET not in output


def test_homeports_own_agent_needs_no_more_than_where_and_who(stand_in: StandInController) -> None:
    stand_in.answers["HomeportV1.EnsureAgentAccessKey"] = lambda members: {
        "accessKeyId": "AKID",
        "secretAccessKey": "agent-secret",
    }
    result = CliRunner().invoke(main, ["agent-config", "--agent", "homeport", "--output", "json"])
    assert json.loads(result.stdout) == {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_DEFAULT_REGION": "eu-test-1",
        "AWS_SECRET_ACCESS_KEY": "agent-secret",
        "ECS_BACKEND_HOST": stand_in.endpoint,
        "ECS_CLUSTER": "default",
    }


def test_agent_config_names_the_endpoint_that_the_joining_machine_can_reach(
    stand_in: StandInController,
) -> None:
    stand_in.answers["HomeportV1.EnsureAgentAccessKey"] = lambda members: {
        "accessKeyId": "AKID",
        "secretAccessKey": "agent-secret",
    }
    result = CliRunner().invoke(main, ["agent-config", "--endpoint", "http://controller.lan:8480"])
    assert "ECS_BACKEND_HOST=http://controller.lan:8480" in result.stdout.splitlines()
