"""The agent's side of joining: the exchange through all that can go wrong, what is kept, and renewal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from agent.config import ConfigError, load
from agent.identity import IdentityFile
from agent.membership import FILE_NAME, Membership, MembershipError, MembershipFile
from agent.protocol.clock import SystemClock
from agent.protocol.joining import IssuedCredentials, JoinRequest, JoinToken, token_text
from agent.protocol.signing import Credentials, parse_authorization
from agent.session import joining
from agent.session.api import ControlPlaneClient
from agent.session.joining import Joining, NotJoined, due_at
from agent.session.metrics import SessionMetrics
from agent.session.server_time import ServerTime

ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/lab/" + "1" * 32
MACHINE = "machine"


class Desk:
    """A controller's side of the exchange, which breaks as it is told."""

    def __init__(self) -> None:
        self.requests: list[JoinRequest] = []
        self.renewals: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Callable[[], web.StreamResponse]] = []
        """What is answered first; then the exchange succeeds."""
        self.url = ""

    async def join(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(msgspec.json.decode(await request.read(), type=JoinRequest))
        return self._answer(f"AKIA{len(self.requests)}")

    async def call(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["X-Amz-Target"] == "HomeportV1.RenewAgentCredentials"
        signer = parse_authorization(request.headers).access_key_id
        self.renewals.append((signer, await request.json()))
        return self._answer("AKIARENEWED")

    def _answer(self, key_id: str) -> web.StreamResponse:
        if self.answers:
            return self.answers.pop(0)()
        issued = IssuedCredentials(
            access_key_id=key_id, container_instance_arn=ARN, issued_at=2e9, expires_at=3e9
        )
        return web.json_response(body=msgspec.json.encode(issued))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A controller that lets machines join."""
    desk = Desk()
    app = web.Application()
    app.add_routes([web.post("/join", desk.join), web.post("/", desk.call)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    desk.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield desk
    await runner.cleanup()


def token_of(url: str, **changes: str) -> JoinToken:
    fields = {"id": "t1", "secret": "s", "url": url, "cluster": "lab", "region": "eu-west-1", **changes}
    return JoinToken(**fields)


def joining_of(token: JoinToken | None, data_dir: Path, url: str = "") -> Joining:
    identity = IdentityFile.load(data_dir, "lab", MACHINE)
    return Joining(token, url or (token.url if token else ""), MembershipFile.load(data_dir), identity)


async def join(token: JoinToken | None, data_dir: Path, url: str = "") -> Membership:
    return await joining_of(token, data_dir, url).join(None, MACHINE, Random(1))


async def test_a_token_is_exchanged_once_and_the_membership_kept(desk: Desk, tmp_path: Path) -> None:
    token = token_of(desk.url)
    first = await join(token, tmp_path)
    assert (first.access_key_id, first.cluster, first.region) == ("AKIA1", "lab", "eu-west-1")
    assert await join(token, tmp_path) == first  # the token is still in the settings
    assert await join(None, tmp_path) == first
    (request,) = desk.requests
    assert request.secret_access_key == first.secret_access_key
    assert len(first.secret_access_key) == 40
    assert request.secret_access_key not in repr(first) + repr(request)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def _busy() -> web.StreamResponse:
    return web.json_response({"__type": "ServerException", "message": "later"}, status=500)


async def test_an_exchange_goes_on_as_the_same_through_failures_and_a_restart(
    desk: Desk, tmp_path: Path
) -> None:
    desk.answers = [_busy, lambda: web.json_response({"__type": "JoinRefused"}, status=403)]
    with pytest.raises(NotJoined, match="refuses to let this machine join: JoinRefused"):
        await join(token_of(desk.url), tmp_path)
    await join(token_of(desk.url), tmp_path)
    assert len({request.exchange_id for request in desk.requests}) == 1
    assert len({request.secret_access_key for request in desk.requests}) == 1
    assert len(desk.requests) == 3


async def test_a_controller_that_cannot_be_reached_is_waited_for(tmp_path: Path, desk: Desk) -> None:
    waiting = asyncio.create_task(join(token_of("http://127.0.0.1:1"), tmp_path))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (await join(token_of("http://127.0.0.1:1"), tmp_path, desk.url)).url == desk.url


async def test_another_token_is_exchanged_with_proof_of_who_this_machine_is(
    desk: Desk, tmp_path: Path
) -> None:
    first = await join(token_of(desk.url), tmp_path)
    await IdentityFile.load(tmp_path, "lab", MACHINE).update(container_instance_arn=ARN)
    await join(token_of(desk.url, id="t2"), tmp_path)
    again = desk.requests[-1]
    assert again.container_instance_arn == ARN
    assert again.former_key is not None
    assert again.former_key.access_key_id == first.access_key_id
    assert first.secret_access_key not in repr(again.former_key)
    assert IdentityFile.load(tmp_path, "lab", MACHINE).current.container_instance_arn == ARN


async def test_another_controller_is_not_shown_the_former_key(desk: Desk, tmp_path: Path) -> None:
    await join(token_of(desk.url), tmp_path)
    await join(token_of(desk.url.replace("127.0.0.1", "localhost"), id="t2"), tmp_path)
    assert desk.requests[-1].former_key is None


async def test_who_joins_as_somebody_else_registers_as_a_new_container_instance(
    desk: Desk, tmp_path: Path
) -> None:
    await IdentityFile.load(tmp_path, "lab", MACHINE).update(container_instance_arn=ARN + "0")
    await join(token_of(desk.url), tmp_path)
    assert IdentityFile.load(tmp_path, "lab", MACHINE).current.container_instance_arn is None


async def test_a_copy_of_the_disk_has_no_use_for_the_credentials(desk: Desk, tmp_path: Path) -> None:
    await join(token_of(desk.url), tmp_path)
    await IdentityFile.load(tmp_path, "lab", MACHINE).begin_anew()
    with pytest.raises(NotJoined, match="homeport token create"):
        await join(None, tmp_path)
    await join(token_of(desk.url, id="t2"), tmp_path)
    assert desk.requests[-1].former_key is None


async def test_what_answers_without_credentials_is_no_controller(desk: Desk, tmp_path: Path) -> None:
    desk.answers = [lambda: web.json_response({"hello": "world"})]
    with pytest.raises(NotJoined, match="no controller"):
        await join(token_of(desk.url), tmp_path)


async def test_credentials_are_renewed_after_a_third_of_their_life_and_used_at_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "CHECK_INTERVAL_S", 0.01)
    first = await join(token_of(desk.url), tmp_path)
    assert due_at(first) == pytest.approx(2e9 + 1e9 / 3)
    old = msgspec.structs.replace(first, issued_at=0.0, expires_at=3.0)
    await MembershipFile.load(tmp_path).complete(old)
    clock = SystemClock()
    desk.answers = [_busy]
    part = joining_of(None, tmp_path)
    async with ControlPlaneClient(
        desk.url,
        "us-east-1",
        Credentials(old.access_key_id, old.secret_access_key),
        ServerTime(clock),
        clock,
        SessionMetrics(CollectorRegistry()),
    ) as client:
        running = asyncio.create_task(part.run(client))
        async with asyncio.timeout(10):
            while MembershipFile.load(tmp_path).membership == old:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        signed = client.sign("POST", desk.url, {}, b"")
    renewed = MembershipFile.load(tmp_path).membership
    assert renewed is not None
    assert [signer for signer, _ in desk.renewals] == ["AKIA1", "AKIA1"]
    # The first answer was lost: the renewal was made again as the same.
    assert desk.renewals[0][1] == desk.renewals[1][1]
    assert desk.renewals[1][1]["secretAccessKey"] == renewed.secret_access_key != old.secret_access_key
    assert "Credential=AKIARENEWED/" in signed["Authorization"]


def test_settings_come_from_the_token_and_later_from_what_was_kept(tmp_path: Path) -> None:
    url = "https://controller.test:8480"
    token = token_of(url, fingerprint="sha256:" + "0" * 64)
    arguments = ["--token", token_text(token), "--data-dir", str(tmp_path)]
    told = load(arguments, {"AWS_ACCESS_KEY_ID": "AKIDSHELL", "AWS_SECRET_ACCESS_KEY": "x"})
    assert (told.controller_url, told.cluster, told.region) == (url, "lab", "eu-west-1")
    assert told.authority_fingerprint == token.fingerprint
    assert told.credentials is None
    assert "'s'" not in repr(told)
    membership = Membership(
        token_id="t1",
        url=url,
        cluster="lab",
        region="eu-west-1",
        fingerprint=token.fingerprint,
        owner="",
        access_key_id="AKIA1",
        secret_access_key="m",
        issued_at=0.0,
        expires_at=1.0,
    )
    asyncio.run(MembershipFile.load(tmp_path).complete(membership))
    kept = load(["--data-dir", str(tmp_path)], {})
    assert (kept.controller_url, kept.cluster, kept.credentials) == (url, "lab", None)
    keyed = load(["--data-dir", str(tmp_path)], {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x"})
    assert keyed.credentials == Credentials("AKID", "x", None)
    with pytest.raises(ConfigError, match="is for 'lab'"):
        load(["--data-dir", str(tmp_path), "--cluster", "other"], {})


def test_a_damaged_file_is_said_to_be_and_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"membership": {"secret_access_key": "sesame"')
    with pytest.raises(MembershipError, match="join again with a token") as damaged:
        MembershipFile.load(tmp_path)
    assert "sesame" not in str(damaged.value)
    with pytest.raises(ConfigError, match="join again with a token"):
        load(["--data-dir", str(tmp_path)], {})


async def test_what_cannot_be_written_down_is_not_begun(desk: Desk, tmp_path: Path) -> None:
    part = joining_of(token_of(desk.url), tmp_path)
    (tmp_path / f"{FILE_NAME}.new").mkdir()
    with pytest.raises(MembershipError, match="cannot be written"):
        await part.join(None, MACHINE, Random(1))
    assert not desk.requests
