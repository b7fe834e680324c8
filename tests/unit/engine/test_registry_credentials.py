"""ECS_ENGINE_AUTH_DATA: whose name and password go to which registry."""

import base64
import json

import pytest

from agent.engine.registry_credentials import RegistryCredentials, StaticCredentials

ALICE = RegistryCredentials("alice", "s3cret:with colon")


def docker(**entries: dict[str, str]) -> StaticCredentials:
    """Credentials as `docker` gives them."""
    return StaticCredentials.parse("docker", json.dumps(entries))


def alice(key: str) -> StaticCredentials:
    """Alice, for one key."""
    return docker(**{key: {"username": ALICE.username, "password": ALICE.password, "email": ""}})


def test_none_are_none() -> None:
    assert StaticCredentials.parse("", "").of("r.lan/web") is None


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("r.lan", "r.lan/web:1"),
        ("https://r.lan:5000/v2/", "r.lan:5000/team/web"),
        ("r.lan/team", "r.lan/team/web@sha256:" + "a" * 64),
        ("https://index.docker.io/v1/", "busybox"),
        ("docker.io", "team/web:2"),
    ],
)
def test_an_entry_holds_for_what_it_is_the_beginning_of(key: str, image: str) -> None:
    assert alice(key).of(image) == ALICE


@pytest.mark.parametrize(("key", "image"), [("r.lan", "r.lan.evil/web"), ("r.lan/team", "r.lan/teams/web")])
def test_a_beginning_ends_at_a_slash(key: str, image: str) -> None:
    assert alice(key).of(image) is None


def test_the_longest_entry_wins() -> None:
    both = docker(
        **{"r.lan": {"username": "all", "password": "1"}, "r.lan/team": {"username": "team", "password": "2"}}
    )
    assert both.of("r.lan/team/web") == RegistryCredentials("team", "2")
    assert both.of("r.lan/web") == RegistryCredentials("all", "1")


def test_dockercfg_holds_both_in_base64() -> None:
    auth = base64.b64encode(f"{ALICE.username}:{ALICE.password}".encode()).decode()
    data = json.dumps({"http://r.lan/v1/": {"auth": auth, "email": "a@b"}})
    assert StaticCredentials.parse("dockercfg", data).of("r.lan/web") == ALICE


@pytest.mark.parametrize(
    ("auth_type", "data", "message"),
    [
        ("netrc", "{}", "accepted are dockercfg, docker"),
        ("", "{}", "accepted are dockercfg, docker"),
        ("docker", "not json s3cret", "accepted is a JSON object"),
        ("docker", '{"r.lan": {"username": "s3cret"}}', "'r.lan' needs username and password"),
        ("dockercfg", '{"r.lan": {"auth": "s3cret"}}', "'r.lan' is not name:password in base64"),
    ],
)
def test_what_cannot_be_used_is_refused_without_quoting_it(auth_type: str, data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        StaticCredentials.parse(auth_type, data)
    assert "s3cret" not in str(refusal.value)
