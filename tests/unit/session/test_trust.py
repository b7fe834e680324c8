"""The agent's first contact with its controller, over real TLS."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.protocol.trust import certificates, fingerprint
from agent.session.trust import LEARNT_NAME, ControllerNotTrusted, Trust
from controller.tls.automatic import AutomaticTls
from controller.tls.published import published_authorities
from tests.support.clock import FakeClock


def tls_in(folder: Path) -> AutomaticTls:
    folder.mkdir()
    return AutomaticTls(folder, lambda: ["127.0.0.1"], FakeClock(time.time()))


@asynccontextmanager
async def serving(tls: AutomaticTls, published: AutomaticTls | None = None) -> AsyncIterator[str]:
    """A controller's port; `published` are the authorities that it presents, where not its own."""
    app = web.Application()
    app.add_routes(published_authorities(published or tls))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"https://{host}:{port}"
    finally:
        await runner.cleanup()


async def answers(url: str, trust: Trust) -> bool:
    assert trust.context is not None
    async with aiohttp.ClientSession() as http, http.get(f"{url}/ca.pem", ssl=trust.context) as answer:
        return answer.status == 200


async def test_a_fingerprint_is_all_that_it_takes(tmp_path: Path) -> None:
    tls = tls_in(tmp_path / "controller")
    async with serving(tls) as url:
        trust = Trust(url, None, fingerprint(tls.trusted_pem), tmp_path)
        await trust.establish()
        assert await answers(url, trust)
        again = Trust("https://127.0.0.1:1", None, fingerprint(tls.trusted_pem), tmp_path)
        await again.establish()  # known from then on, even while nobody answers
        assert await answers(url, again)


async def test_the_wrong_fingerprint_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tls = tls_in(tmp_path / "controller")
    other = "sha256:" + 64 * "0"
    async with serving(tls) as url:
        with pytest.raises(ControllerNotTrusted, match="homeport tls show") as caught:
            await Trust(url, None, other, tmp_path).establish()
    assert fingerprint(tls.trusted_pem) in str(caught.value)
    assert other in str(caught.value)
    assert not (tmp_path / LEARNT_NAME).exists()


async def test_somebody_who_presents_the_right_authority_but_is_not_its_server_is_refused(
    tmp_path: Path,
) -> None:
    genuine, impostor = tls_in(tmp_path / "controller"), tls_in(tmp_path / "impostor")
    async with serving(impostor, published=genuine) as url:
        with pytest.raises(ControllerNotTrusted, match="certificate verify failed"):
            await Trust(url, None, fingerprint(genuine.trusted_pem), tmp_path).establish()
    assert not (tmp_path / LEARNT_NAME).exists()


async def test_the_fingerprint_of_a_former_authority_still_counts(tmp_path: Path) -> None:
    tls = tls_in(tmp_path / "controller")
    former = fingerprint(tls.trusted_pem)
    tls.rotate()
    async with serving(tls) as url:
        trust = Trust(url, None, former, tmp_path)
        await trust.establish()
        assert await answers(url, trust)
    assert len(certificates((tmp_path / LEARNT_NAME).read_text())) == 2


async def test_another_fingerprint_than_before_makes_forget_what_was_learnt(tmp_path: Path) -> None:
    one, other = tls_in(tmp_path / "one"), tls_in(tmp_path / "other")
    async with serving(one) as url:
        await Trust(url, None, fingerprint(one.trusted_pem), tmp_path).establish()
    async with serving(other) as url:
        trust = Trust(url, None, fingerprint(other.trusted_pem), tmp_path)
        await trust.establish()
        assert await answers(url, trust)
    assert certificates((tmp_path / LEARNT_NAME).read_text()) == [other.trusted_pem]


async def test_a_file_is_trusted_without_asking_anybody_and_its_successors_are_learnt(tmp_path: Path) -> None:
    tls = tls_in(tmp_path / "controller")
    given = tmp_path / "ca.pem"
    given.write_text(tls.trusted_pem)
    tls.rotate()
    async with serving(tls) as url:
        trust = Trust(url, given, "", tmp_path)
        await trust.establish()
        assert not (tmp_path / LEARNT_NAME).exists()
        await trust.learn()
        assert len(certificates((tmp_path / LEARNT_NAME).read_text())) == 2
    given.write_text("")
    alone = Trust(url, given, "", tmp_path)
    await alone.establish()
    async with serving(tls) as url:
        assert await answers(url, alone)


async def test_a_file_that_holds_nothing_is_told_with_what_to_do(tmp_path: Path) -> None:
    for content in (None, "rubbish"):
        given = tmp_path / "ca.pem"
        if content:
            given.write_text(content)
        with pytest.raises(ControllerNotTrusted, match="homeport tls authority"):
            await Trust("https://127.0.0.1:1", given, "", tmp_path).establish()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
async def test_without_file_and_fingerprint_the_system_decides(tmp_path: Path, url: str) -> None:
    trust = Trust(url, None, "", tmp_path)
    await trust.establish()
    assert trust.context is None
