"""Our signatures are the ones that AWS's own SDKs make and expect."""

import calendar
import time
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol.signing import (
    Credentials,
    IncompleteSignature,
    MissingSignature,
    SignatureExpired,
    SignatureMismatch,
    host_of,
    parse_authorization,
    sign,
    verify,
)

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CREDENTIALS = Credentials("AKIDEXAMPLE", SECRET)
NOW = 1_767_225_600.0
URL = "http://127.0.0.1:8480/acs/ws?clusterArn=default&dockerVersion=DockerVersion%3A+20.10.24"

text = st.text(max_size=20)
header_value = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
header_name = st.from_regex(r"X-[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
UNSIGNABLE = {"x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amzn-trace-id"}


def percent(value: str) -> str:
    return quote(value, safe="-_.~")


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    host=st.sampled_from(["127.0.0.1:8480", "ecs.example.com", "[::1]:80", "h:443"]),
    scheme=st.sampled_from(["http", "https"]),
    segments=st.lists(st.one_of(text, st.sampled_from(["", ".", ".."])), max_size=4),
    parameters=st.lists(st.tuples(text, text), max_size=4),
    headers=st.dictionaries(header_name, header_value, max_size=4),
    body=st.binary(max_size=200),
    token=st.one_of(st.none(), st.just("a-session-token")),
)
def test_a_request_gets_the_signature_that_botocore_gives_it(
    method: str,
    host: str,
    scheme: str,
    segments: list[str],
    parameters: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    token: str | None,
) -> None:
    headers = {name: value for name, value in headers.items() if name.lower() not in UNSIGNABLE}
    headers = {name.lower(): value for name, value in headers.items()}
    path = "/" + "/".join(percent(segment) for segment in segments)
    query = "&".join(f"{percent(name)}={percent(value)}" for name, value in parameters)
    url = f"{scheme}://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=headers, data=body)
    SigV4Auth(BotocoreCredentials("AKIDEXAMPLE", SECRET, token), "ecs", "us-east-1").add_auth(request)
    signed_at = float(calendar.timegm(time.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")))

    ours = sign(
        method=method,
        url=url,
        headers=headers,
        body=body,
        credentials=Credentials("AKIDEXAMPLE", SECRET, token),
        service="ecs",
        region="us-east-1",
        now=signed_at,
    )

    assert ours["Authorization"] == request.headers["Authorization"]
    received = dict(request.headers.items()) | {"Host": host_of(url)}
    parts = urlsplit(url)
    verify(
        parse_authorization(received),
        method=method,
        path=parts.path,
        query=parts.query,
        headers=received,
        body=body,
        secret_access_key=SECRET,
        now=signed_at,
    )


def signed(url: str = URL, body: bytes = b"", **headers: str) -> dict[str, str]:
    added = sign(
        method="GET",
        url=url,
        headers=headers,
        body=body,
        credentials=CREDENTIALS,
        service="ecs",
        region="us-east-1",
        now=NOW,
    )
    return {**headers, **added, "Host": host_of(url)}


def check(headers: dict[str, str], *, query: str | None = None, now: float = NOW, body: bytes = b"") -> None:
    parts = urlsplit(URL)
    verify(
        parse_authorization(headers),
        method="GET",
        path=parts.path,
        query=parts.query if query is None else query,
        headers=headers,
        body=body,
        secret_access_key=SECRET,
        now=now,
    )


def test_a_space_sent_as_plus_and_one_sent_as_percent_20_verify_alike() -> None:
    check(signed(), query=urlsplit(URL).query.replace("+", "%20"))


def test_any_change_of_the_request_breaks_the_signature() -> None:
    headers = signed()
    with pytest.raises(SignatureMismatch):
        check(headers, query="clusterArn=other")
    with pytest.raises(SignatureMismatch):
        check(headers, body=b"more")
    with pytest.raises(SignatureMismatch):
        check(headers | {"Host": "elsewhere:1"})
    with pytest.raises(SignatureMismatch):
        check({name: value for name, value in headers.items() if name != "Host"})


def test_a_genuine_signature_of_another_time_is_told_apart_from_a_forged_one() -> None:
    headers = signed()
    check(headers, now=NOW + 299)
    with pytest.raises(SignatureExpired) as expired:
        check(headers, now=NOW + 301)
    assert expired.value.signed_at == NOW
    with pytest.raises(SignatureExpired):
        check(headers, now=NOW - 301)
    with pytest.raises(SignatureMismatch):
        check(headers, now=NOW + 301, body=b"forged")


def test_a_length_that_was_signed_but_not_sent_is_taken_from_the_body() -> None:
    body = b'{"type":"PublishHealthRequest"}'
    headers = signed(body=body, **{"Content-Length": str(len(body))})
    del headers["Content-Length"]
    check(headers, body=body)


def test_a_request_without_authorization_is_missing_its_signature() -> None:
    with pytest.raises(MissingSignature):
        parse_authorization({"Host": "h"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("Signature=", "Sig="),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=host"),
        ("/aws4_request", ""),
        ("/20260101/", "/20260102/"),
        ("AKIDEXAMPLE/", "/"),
    ],
)
def test_a_signature_that_lacks_a_part_is_incomplete(old: str, new: str) -> None:
    headers = signed()
    assert old in headers["Authorization"]
    headers["Authorization"] = headers["Authorization"].replace(old, new)
    with pytest.raises(IncompleteSignature):
        parse_authorization(headers)


@pytest.mark.parametrize("date", ["", "2026-01-01T00:00:00Z", "20261301T000000Z", "yesterday"])
def test_a_date_that_cannot_be_read_makes_a_signature_incomplete(date: str) -> None:
    with pytest.raises(IncompleteSignature):
        parse_authorization(signed() | {"X-Amz-Date": date})


def test_secrets_never_show_in_representations() -> None:
    credentials = Credentials("AKIDEXAMPLE", SECRET, "token-text")
    claim = parse_authorization(signed() | {"X-Amz-Security-Token": "token-text"})
    shown = repr(credentials) + repr(claim)
    assert SECRET not in shown
    assert "token-text" not in shown
    assert claim.signature not in shown
    assert claim.access_key_id == "AKIDEXAMPLE"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h:80/", "h"),
        ("https://h:443/", "h"),
        ("ws://h:8480/x", "h:8480"),
        ("wss://h/", "h"),
        ("http://[::1]:8480/", "[::1]:8480"),
    ],
)
def test_the_host_header_leaves_out_the_schemes_own_port(url: str, host: str) -> None:
    assert host_of(url) == host
