"""`homeport tls`, and what TLS means for the other commands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.protocol.trust import fingerprint
from controller.cli import main
from controller.cli.commands import controller_command
from controller.cli.settings import Address, Settings, load_settings
from controller.tls.authority import new_authority
from tests.unit.cli.conftest import StandInController, write_profile

PEM = new_authority(time.time()).trusted_pem
FORMER = new_authority(time.time()).trusted_pem
FINGERPRINT = fingerprint(PEM)
DESCRIBED = {
    "mode": "auto",
    "certificateEndsAt": time.time() + 80.5 * 86_400,
    "authorities": [
        {"fingerprint": FINGERPRINT, "certificate": PEM},
        {"fingerprint": fingerprint(FORMER), "certificate": FORMER},
    ],
}


@pytest.fixture
def secure(tmp_path: Path) -> Path:
    """The data directory of a controller with an authority of its own."""
    write_profile(tmp_path, "https://127.0.0.1:1")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text(PEM)
    return tmp_path


def test_authorities_are_shown_by_their_fingerprints(stand_in: StandInController) -> None:
    stand_in.answers["HomeportV1.DescribeTls"] = lambda _: DESCRIBED
    shown = CliRunner().invoke(main, ["tls", "show"]).output.splitlines()
    assert "80 days" in shown[1]
    assert shown[2].split() == ["authority", FINGERPRINT]
    assert shown[3].split() == ["former", fingerprint(FORMER)]


def test_the_certificates_come_as_a_file_takes_them(stand_in: StandInController) -> None:
    stand_in.answers["HomeportV1.DescribeTls"] = lambda _: DESCRIBED
    assert CliRunner().invoke(main, ["tls", "authority"]).output == PEM + FORMER


def test_a_controller_without_an_authority_says_what_to_do(stand_in: StandInController) -> None:
    stand_in.answers["HomeportV1.DescribeTls"] = lambda _: {"mode": "off", "authorities": []}
    result = CliRunner().invoke(main, ["tls", "authority"])
    assert result.exit_code == 1
    assert "--tls auto" in result.stderr


def test_rotation_shows_what_is_trusted_after_it(stand_in: StandInController) -> None:
    stand_in.answers["HomeportV1.RotateTlsAuthority"] = lambda _: DESCRIBED
    assert FINGERPRINT in CliRunner().invoke(main, ["tls", "rotate"]).output
    assert CliRunner().invoke(main, ["tls", "rotate", "--forget-former"]).exit_code == 0
    asked = stand_in.inputs("HomeportV1.RotateTlsAuthority")
    assert asked == [{"forgetFormer": False}, {"forgetFormer": True}]


def test_env_names_the_bundle_where_one_is_needed(secure: Path) -> None:
    assert f"export AWS_CA_BUNDLE={secure / 'tls' / 'ca.pem'}" in CliRunner().invoke(main, ["env"]).output


def test_env_names_none_for_plain_http(secure: Path) -> None:
    write_profile(secure, "http://127.0.0.1:1")
    assert "AWS_CA_BUNDLE" not in CliRunner().invoke(main, ["env"]).stdout


def test_env_warns_of_a_bundle_in_the_way_of_a_public_certificate(
    secure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secure / "tls" / "ca.pem").unlink()
    monkeypatch.setenv("AWS_CA_BUNDLE", "/elsewhere.pem")
    assert "unset AWS_CA_BUNDLE" in CliRunner().invoke(main, ["env"]).stderr


@pytest.mark.parametrize("agent", ["homeport", "amazon"])
def test_agents_are_told_whom_to_trust(stand_in: StandInController, tmp_path: Path, agent: str) -> None:
    stand_in.answers["HomeportV1.EnsureAgentAccessKey"] = lambda _: {
        "accessKeyId": "AKID",
        "secretAccessKey": "s",
    }
    authority = stand_in.serve_tls(tmp_path)
    result = CliRunner().invoke(main, ["agent-config", "--agent", agent])
    assert result.exit_code == 0, result.output
    told = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert told.get("HOMEPORT_AUTHORITY_FINGERPRINT") == (
        fingerprint(authority) if agent == "homeport" else None
    )
    assert told.get("SSL_CERT_FILE") == ("/var/lib/ecs/ca.pem" if agent == "amazon" else None)
    assert ("homeport tls authority" in result.stderr) == (agent == "amazon")


def test_a_server_that_cannot_prove_who_it_is_gets_no_call(
    stand_in: StandInController, tmp_path: Path
) -> None:
    stand_in.serve_tls(tmp_path)
    (tmp_path / "tls" / "ca.pem").write_text(PEM)
    result = CliRunner().invoke(main, ["tls", "show"])
    assert result.exit_code == 1
    assert "cannot prove to be the controller" in result.stderr
    assert "homeport login" in result.stderr
    assert not stand_in.calls


def test_up_on_the_network_listens_there_with_tls(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, listen=Address("127.0.0.1", 9)).for_the_network()
    assert (settings.listen, settings.tls) == (Address("0.0.0.0", 9), "auto")
    assert settings.local_url == "https://127.0.0.1:9"
    own = Settings(
        data_dir=tmp_path, listen=Address("10.0.0.1", 9), tls_certificate="c", tls_key="k"
    ).for_the_network()
    assert (own.listen, own.tls, own.serves_tls) == (Address("10.0.0.1", 9), None, True)


def test_the_controller_gets_every_setting_of_tls(tmp_path: Path) -> None:
    flags = {"data_dir": tmp_path, "tls_name": "a.lan, b.lan"}
    command = controller_command(load_settings(flags, {"HOMEPORT_TLS": "auto"}))
    assert command[-6:] == ["--tls", "auto", "--tls-name", "a.lan", "--tls-name", "b.lan"]
