"""Settings and logs of the controller process."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from controller.__main__ import _parser, chosen_root_key, settle
from controller.api.access_keys import KeyPair
from controller.bootstrap import CannotStart, listen, prepare_data_dir
from controller.config import ControllerConfig
from controller.logs import hide_secrets


def settled(*arguments: str, **environment: str) -> ControllerConfig:
    return settle(_parser().parse_args(["--data-dir", "/d", *arguments]), environment)


def test_defaults_hold_where_nothing_is_set() -> None:
    config = settled()
    assert (config.listen_host, config.listen_port) == ("127.0.0.1", 8480)
    assert (config.account, config.region, config.cluster) == ("000000000000", "us-east-1", "default")


def test_flags_beat_the_environment_which_beats_defaults() -> None:
    environment = {
        "HOMEPORT_LISTEN": "127.0.0.1:1",
        "HOMEPORT_REGION": "eu-west-1",
        "HOMEPORT_ACCOUNT_ID": "123456789012",
    }
    assert settled(**environment).listen_port == 1
    config = settled("--listen", "[::1]:2", "--cluster", "edge", **environment)
    assert (config.listen_host, config.listen_port) == ("::1", 2)
    assert (config.region, config.account, config.cluster) == ("eu-west-1", "123456789012", "edge")


@pytest.mark.parametrize("listen_", ["8480", ":8480", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_refused(listen_: str) -> None:
    with pytest.raises(CannotStart, match="HOST:PORT"):
        settled("--listen", listen_)


@pytest.mark.parametrize("account", ["1", "12345678901x", "1234567890123"])
def test_an_account_has_twelve_digits(account: str) -> None:
    with pytest.raises(CannotStart, match="twelve digits"):
        settled(HOMEPORT_ACCOUNT_ID=account)


def test_the_first_key_is_chosen_whole_or_not_at_all() -> None:
    id_, secret = "HOMEPORT_ROOT_ACCESS_KEY_ID", "HOMEPORT_ROOT_SECRET_ACCESS_KEY"
    assert chosen_root_key({}) is None
    assert chosen_root_key({id_: "a", secret: "b"}) == KeyPair("a", "b")
    for half in (id_, secret):
        with pytest.raises(CannotStart, match="both or neither"):
            chosen_root_key({half: "a"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_plain_http_beyond_loopback_has_to_be_allowed(host: str) -> None:
    with pytest.raises(CannotStart, match="--allow-plain-http"):
        listen(ControllerConfig(Path("/d"), listen_host=host, listen_port=0))


def test_plain_http_beyond_loopback_works_once_allowed() -> None:
    config = ControllerConfig(Path("/d"), listen_host="0.0.0.0", listen_port=0, allow_plain_http=True)
    with listen(config) as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


def test_beyond_loopback_tls_is_enough() -> None:
    config = ControllerConfig(Path("/d"), listen_host="0.0.0.0", listen_port=0, tls="auto")
    with listen(config) as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tls", "auto", "--tls-name", "https://a"), "must be a name or an address"),
        (("--tls", "auto", "--tls-name", "bücher.lan"), "must be a name or an address"),
        (("--tls-certificate", "c"), "both or neither"),
        (("--tls-key", "k"), "both or neither"),
        (("--tls-authority", "a"), "belongs to a certificate"),
        (("--tls-certificate", "c", "--tls-key", "k"), "--public-url https://NAME:PORT"),
        (("--tls-certificate", "c", "--tls-key", "k", "--public-url", "http://a"), "--public-url https://"),
        (("--tls-certificate", "c", "--tls-key", "k", "--public-url", "https://a", "--tls", "auto"), "leave"),
    ],
)
def test_settings_of_tls_that_do_not_fit_together_are_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CannotStart, match=said):
        settled(*arguments)


def test_settings_of_tls_are_taken() -> None:
    assert settled("--tls", "auto", "--tls-name", "a.lan", "--tls-name", "::2").tls_names == ("a.lan", "::2")
    config = settled("--tls-certificate", "c", "--tls-key", "k", "--public-url", "https://a")
    assert config.serves_tls
    assert not settled().serves_tls


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ControllerConfig(Path("/d"), listen_port=taken.getsockname()[1])
        with pytest.raises(CannotStart, match="choose another address with --listen"):
            listen(config)


def test_a_data_directory_that_is_a_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="--data-dir"):
        prepare_data_dir(tmp_path / "file")


def test_fields_that_name_secrets_are_hidden() -> None:
    event = {"event": "x", "secret_access_key": "s", "Authorization": "a", "metrics_token": "t", "task": "a"}
    assert hide_secrets(None, "info", event) == {
        "event": "x",
        "secret_access_key": "(hidden)",
        "Authorization": "(hidden)",
        "metrics_token": "(hidden)",
        "task": "a",
    }
