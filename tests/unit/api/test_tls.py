"""What the command learns of TLS, and the authority's rotation on request."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.protocol.trust import certificates, fingerprint
from controller.api.errors import InvalidParameterException, ServerException
from controller.api.operations.tls import DescribeTls, RotateTlsAuthority, TlsOperations
from controller.tls.authority import issue, new_authority
from controller.tls.automatic import AutomaticTls
from controller.tls.given import GivenTls
from tests.support.clock import FakeClock
from tests.unit.api.conftest import Api


def automatic(folder: Path) -> AutomaticTls:
    return AutomaticTls(folder, lambda: ["localhost"], FakeClock(time.time()))


def given(folder: Path) -> GivenTls:
    both = folder / "both.pem"
    both.write_bytes(issue(new_authority(time.time()), ["localhost"], time.time()))
    return GivenTls(both, both, None, folder)


async def test_the_present_authority_comes_first_and_the_former_ones_follow(api: Api, tmp_path: Path) -> None:
    tls = automatic(tmp_path)
    operations = TlsOperations(tls)
    before = operations.describe_tls(api.context(), DescribeTls())
    (first,) = before["authorities"]
    assert (before["mode"], first["certificate"]) == ("auto", tls.trusted_pem)
    assert before["certificateEndsAt"] > time.time() + 89 * 86_400
    after = operations.rotate_tls_authority(api.context(), RotateTlsAuthority())
    assert [each["fingerprint"] for each in after["authorities"][1:]] == [first["fingerprint"]]
    assert after["authorities"][0]["fingerprint"] == fingerprint(certificates(tls.trusted_pem)[0])
    assert "PRIVATE" not in str(after)
    forgotten = operations.rotate_tls_authority(api.context(), RotateTlsAuthority(forget_former=True))
    assert len(forgotten["authorities"]) == 1


async def test_without_an_authority_of_its_own_there_is_nothing_to_rotate(api: Api, tmp_path: Path) -> None:
    for tls, mode in ((None, "off"), (given(tmp_path), "given")):
        operations = TlsOperations(tls)
        assert operations.describe_tls(api.context(), DescribeTls()) == {"mode": mode, "authorities": []}
        with pytest.raises(InvalidParameterException, match="--tls auto"):
            operations.rotate_tls_authority(api.context(), RotateTlsAuthority())


async def test_a_rotation_that_cannot_be_written_changes_nothing(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    tls = automatic(tmp_path)
    before = tls.trusted_pem
    monkeypatch.setattr("controller.tls.automatic.write_private", full)
    with pytest.raises(ServerException, match="No space left"):
        TlsOperations(tls).rotate_tls_authority(api.context(), RotateTlsAuthority())
    assert tls.trusted_pem == before
