"""Names of images, taken apart."""

import pytest

from agent.engine.image_reference import ImageReference, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "parts", "repository", "wanted"),
    [
        ("busybox", ("docker.io", "library/busybox", "latest", ""), "busybox", "latest"),
        ("busybox:1", ("docker.io", "library/busybox", "1", ""), "busybox", "1"),
        ("team/web", ("docker.io", "team/web", "latest", ""), "team/web", "latest"),
        ("docker.io/busybox:1", ("docker.io", "library/busybox", "1", ""), "busybox", "1"),
        (
            "index.docker.io/library/busybox",
            ("docker.io", "library/busybox", "latest", ""),
            "busybox",
            "latest",
        ),
        ("localhost/web:1", ("localhost", "web", "1", ""), "localhost/web", "1"),
        ("127.0.0.1:5000/web", ("127.0.0.1:5000", "web", "latest", ""), "127.0.0.1:5000/web", "latest"),
        ("r.lan/a/b/c:1.2", ("r.lan", "a/b/c", "1.2", ""), "r.lan/a/b/c", "1.2"),
        (f"r.lan/web@{DIGEST}", ("r.lan", "web", "", DIGEST), "r.lan/web", DIGEST),
        (f"r.lan:5000/web:1@{DIGEST}", ("r.lan:5000", "web", "1", DIGEST), "r.lan:5000/web", DIGEST),
    ],
)
def test_a_name_is_taken_apart(
    text: str, parts: tuple[str, str, str, str], repository: str, wanted: str
) -> None:
    found = parse_reference(text)
    assert found == ImageReference(*parts)
    assert found.repository == repository
    assert found.wanted == wanted
