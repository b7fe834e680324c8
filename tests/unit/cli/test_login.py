"""`homeport login`, over real TLS, against a stand-in for the controller."""

from __future__ import annotations

import configparser
import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from click.testing import CliRunner, Result

from agent.protocol.trust import fingerprint
from controller.cli import main
from controller.cli.profile import named_profile_folder
from controller.keyring import load_client_profile
from controller.tls.authority import new_authority
from tests.unit.cli.conftest import SECRET, Refusal, StandInController, ecs, write_profile

IDENTITY = {
    "arn": "arn:aws:iam::000000000000:user/alice",
    "role": "deployer",
    "cluster": None,
    "account": "000000000000",
    "region": "eu-test-1",
}


@pytest.fixture
def controller(
    stand_in: StandInController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StandInController:
    """A controller elsewhere that serves HTTPS; nothing of it is on this machine."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stand_in.serve_tls(elsewhere)
    stand_in.answers["HomeportV1.GetIdentity"] = lambda _: IDENTITY
    stand_in.answers[ecs("ListServices")] = lambda _: {"serviceArns": []}
    (tmp_path / "client.json").unlink()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOMEPORT_DATA_DIR", "")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return stand_in


def login(*arguments: str, stdin: str = SECRET + "\n") -> Result:
    return CliRunner().invoke(main, ["login", "--access-key-id", "AKIDTEST", *arguments], input=stdin)


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts are read from standard input all the same."""
    monkeypatch.setattr("controller.cli.login._is_terminal", lambda: True)


def with_fingerprint(controller: StandInController) -> str:
    return f"{controller.endpoint}#{fingerprint(controller.authorities)}"


def test_a_url_with_the_fingerprint_is_all_that_it_takes(controller: StandInController) -> None:
    result = login(with_fingerprint(controller), "--name", "lab")
    assert result.exit_code == 0, result.output
    assert "as arn:aws:iam::000000000000:user/alice (deployer)" in result.stdout
    assert SECRET not in result.output
    profile = load_client_profile(named_profile_folder("lab"))
    assert (profile.endpoint, profile.region) == (controller.endpoint, "eu-test-1")
    assert profile.ca_file is not None
    assert profile.ca_file.read_text() == controller.authorities
    for path in named_profile_folder("lab").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    listed = CliRunner().invoke(main, ["--profile", "lab", "services", "--output", "json"])
    assert json.loads(listed.stdout) == {"services": []}


def test_the_profile_default_is_used_where_no_other_controller_is(
    controller: StandInController, tmp_path: Path
) -> None:
    assert login(with_fingerprint(controller)).exit_code == 0
    calls = len(controller.calls)
    assert CliRunner().invoke(main, ["services"]).exit_code == 0
    assert len(controller.calls) == calls + 1
    write_profile(tmp_path, "http://127.0.0.1:1")
    other = CliRunner().invoke(main, ["services", "--data-dir", str(tmp_path)])
    assert "http://127.0.0.1:1" in other.stderr


def test_the_wrong_fingerprint_is_refused_before_any_key_is_shown(controller: StandInController) -> None:
    other = fingerprint(new_authority(time.time()).trusted_pem)
    result = login(f"{controller.endpoint}#{other}")
    assert result.exit_code == 1
    assert "is not the controller that was expected" in result.stderr
    assert fingerprint(controller.authorities) in result.stderr
    assert "homeport tls show" in result.stderr
    assert not controller.calls
    assert not named_profile_folder("default").exists()


def test_an_authority_that_did_not_sign_the_servers_certificate_is_refused(
    controller: StandInController,
) -> None:
    controller.authorities = new_authority(time.time()).trusted_pem
    result = login(with_fingerprint(controller))
    assert result.exit_code == 1
    assert "certificate" in result.stderr
    assert not controller.calls


def test_without_a_fingerprint_a_person_is_shown_it_and_asked(
    controller: StandInController, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch)
    result = login(controller.endpoint, stdin="n\n")
    assert result.exit_code == 1
    assert not controller.calls
    result = login(controller.endpoint, stdin=f"y\n{SECRET}\n")
    assert result.exit_code == 0, result.output
    assert fingerprint(controller.authorities) in result.stdout
    assert controller.calls


def test_without_a_person_a_fingerprint_is_needed(controller: StandInController) -> None:
    result = login(controller.endpoint)
    assert result.exit_code == 2
    assert f"--fingerprint {fingerprint(controller.authorities)}" in result.stderr
    assert not controller.calls
    colons = fingerprint(controller.authorities).removeprefix("sha256:").upper()
    spelt = ":".join(colons[at : at + 2] for at in range(0, len(colons), 2))
    assert login(controller.endpoint, "--fingerprint", spelt).exit_code == 0


def files_of_the_profile() -> dict[Path, bytes]:
    folder = named_profile_folder("default")
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_key_that_is_refused_leaves_the_profile_as_it_was(controller: StandInController) -> None:
    assert login(with_fingerprint(controller)).exit_code == 0
    before = {
        path: path.read_bytes() for path in named_profile_folder("default").rglob("*") if path.is_file()
    }

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")

    controller.answers["HomeportV1.GetIdentity"] = refuse
    result = login(with_fingerprint(controller))
    assert result.exit_code == 1
    assert "UnrecognizedClientException" in result.stderr
    assert files_of_the_profile() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("http://controller.lan:8480",), 1, "--allow-plain-http"),
        (("ftp://controller.lan",), 2, "is no address"),
        (("https://controller.lan:8480/path",), 2, "is no address"),
        (("https://controller.lan:8480#sha256:12",), 2, "is no fingerprint"),
        (("https://127.0.0.1:1#" + 64 * "0",), 1, "no controller answers over HTTPS"),
    ],
)
def test_what_cannot_work_is_told(
    controller: StandInController, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = login(*arguments)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden"])
def test_a_profile_that_would_lie_elsewhere_is_refused(controller: StandInController, name: str) -> None:
    assert login(with_fingerprint(controller), "--name", name).exit_code == 2
    assert CliRunner().invoke(main, ["--profile", name or "/", "services"]).exit_code == 2


def test_a_profile_that_nobody_wrote_is_told(controller: StandInController) -> None:
    result = CliRunner().invoke(main, ["--profile", "lab", "services"])
    assert "homeport login URL --name lab" in result.stderr


def test_an_aws_profile_has_all_that_awss_tools_need(controller: StandInController, tmp_path: Path) -> None:
    assert login(with_fingerprint(controller), "--aws-profile", "lab").exit_code == 0
    session = botocore.session.Session(profile="lab")
    scoped = session.get_scoped_config()
    assert scoped["region"] == "eu-test-1"
    assert scoped["ca_bundle"] == str(named_profile_folder("default") / "tls" / "ca.pem")
    credentials = session.get_credentials()
    assert (credentials.access_key, credentials.secret_key) == ("AKIDTEST", SECRET)
    for service in ("ecs", "sts"):
        assert session.create_client(service).meta.endpoint_url == controller.endpoint
    assert session.create_client("ecs").list_services()["serviceArns"] == []
    keys = tmp_path / "home" / ".aws" / "credentials"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


FOREIGN = "# my own\n[default]\nregion = eu-west-1\n\n[profile work]\nrole_arn = arn:aws:iam::1:role/x\n"


@pytest.fixture
def aws_files(tmp_path: Path) -> Callable[[str], Path]:
    """Write something into a file of AWS's tools."""

    def write(text: str) -> Path:
        config = tmp_path / "home" / ".aws" / "config"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(text)
        return config

    return write


def test_what_else_is_in_awss_files_stays_and_ours_is_replaced(
    controller: StandInController, aws_files: Callable[[str], Path]
) -> None:
    config = aws_files(FOREIGN)
    for _ in range(2):
        assert login(with_fingerprint(controller), "--aws-profile", "lab").exit_code == 0
    once = config.read_text()
    assert once.startswith(FOREIGN)
    assert once.count("[profile lab]") == 1
    config.write_text(once + "\n[profile after]\nregion = eu-west-2\n")
    controller.answers["HomeportV1.GetIdentity"] = lambda _: IDENTITY | {"region": "eu-test-2"}
    assert login(with_fingerprint(controller), "--aws-profile", "lab").exit_code == 0
    parsed = configparser.ConfigParser()
    parsed.read(config)
    assert parsed["profile lab"]["region"] == "eu-test-2"
    assert parsed["profile after"]["region"] == "eu-west-2"
    assert parsed["profile work"]["role_arn"] == "arn:aws:iam::1:role/x"


def test_a_profile_of_somebody_else_is_never_overwritten(
    controller: StandInController, aws_files: Callable[[str], Path], tmp_path: Path
) -> None:
    config = aws_files(FOREIGN)
    for name in ("work", "default"):
        result = login(with_fingerprint(controller), "--aws-profile", name)
        assert result.exit_code == 1
        assert "that homeport did not write" in result.stderr
    assert config.read_text() == FOREIGN
    assert not (tmp_path / "home" / ".aws" / "credentials").exists()
