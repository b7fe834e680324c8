"""Flags beat environment beat file beat defaults, and every bad value is named with its source."""

from pathlib import Path

import pytest

from controller.cli.errors import CommandFailed, ExitCode
from controller.cli.settings import Address, data_directory, load_settings


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "homeport.toml").write_text('listen = "127.0.0.1:3"\nregion = "from-file"\n')
    return tmp_path


def test_a_flag_beats_the_environment_and_the_file(directory: Path) -> None:
    settings = load_settings(
        {"data_dir": directory, "listen": "127.0.0.1:1"}, {"HOMEPORT_LISTEN": "127.0.0.1:2"}
    )
    assert settings.listen == Address("127.0.0.1", 1)


def test_the_environment_beats_the_file(directory: Path) -> None:
    environment = {"HOMEPORT_LISTEN": "127.0.0.1:2", "HOMEPORT_DATA_DIR": str(directory)}
    settings = load_settings({"listen": None}, environment)
    assert settings.listen == Address("127.0.0.1", 2)
    assert settings.region == "from-file"


def test_the_file_beats_the_default(directory: Path) -> None:
    assert load_settings({"data_dir": directory}, {}).listen == Address("127.0.0.1", 3)


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path}, {})
    assert settings.listen == Address("127.0.0.1", 8480)
    assert settings.region is None
    assert not settings.allow_plain_http


def test_a_switch_that_is_not_given_leaves_the_file_in_charge(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text("allow_plain_http = true\n")
    assert load_settings({"data_dir": tmp_path, "allow_plain_http": None}, {}).allow_plain_http


def test_an_empty_variable_counts_as_not_set(directory: Path) -> None:
    settings = load_settings({"data_dir": directory}, {"HOMEPORT_REGION": ""})
    assert settings.region == "from-file"


@pytest.mark.parametrize(
    ("is_root", "expected"),
    [(True, Path("/var/lib/homeport")), (False, Path.home() / ".local/share/homeport")],
)
def test_the_data_directory_of_root_is_the_systems_and_of_others_their_own(
    is_root: bool, expected: Path
) -> None:
    assert data_directory(None, {}, is_root=is_root) == expected


def test_a_relative_data_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert data_directory("data", {}) == tmp_path / "data"


@pytest.mark.parametrize(
    ("flags", "environment", "file", "complaint"),
    [
        ({"listen": "8480"}, {}, "", "--listen='8480'"),
        ({"listen": "host:0"}, {}, "", "HOST:PORT"),
        ({}, {"HOMEPORT_LISTEN": "nonsense"}, "", "HOMEPORT_LISTEN='nonsense'"),
        ({}, {"HOMEPORT_ACCOUNT_ID": "12"}, "", "twelve digits"),
        ({}, {}, "account_id = 12", "account_id in "),
        ({}, {}, "allow_plain_http = 'yes'", "true or false"),
        ({}, {}, "log_format = 'xml'", "text, json"),
        ({}, {}, "listen = 'x'", "listen"),
        ({}, {}, "listen = ", "not valid TOML"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_its_source(
    tmp_path: Path, flags: dict[str, str], environment: dict[str, str], file: str, complaint: str
) -> None:
    (tmp_path / "homeport.toml").write_text(file)
    with pytest.raises(CommandFailed) as caught:
        load_settings({"data_dir": tmp_path, **flags}, environment)
    assert caught.value.exit_code == ExitCode.USAGE
    assert complaint in caught.value.message


def test_a_server_that_listens_everywhere_is_reached_over_loopback() -> None:
    assert str(Address("0.0.0.0", 80).local) == "127.0.0.1:80"
    assert str(Address("::", 80).local) == "[::1]:80"
    assert load_settings({"listen": "[::1]:99", "data_dir": "/nowhere"}, {}).listen == Address("::1", 99)
