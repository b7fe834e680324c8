"""How far a pull has come, from the engine's own lines."""

from typing import Any

from agent.engine.pull_progress import PullListener

DIGEST = "sha256:" + "e" * 64
LINES: list[dict[str, Any]] = [
    {"status": "Pulling from team/web", "id": "1"},
    {"status": "Already exists", "progressDetail": {}, "id": "base"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "app"},
    {"status": "Downloading", "progressDetail": {"current": 10, "total": 100}, "id": "app"},
]


def heard(*lines: dict[str, Any]) -> PullListener:
    """A listener that has heard these lines."""
    listener = PullListener()
    for line in lines:
        listener.hear(line)
    return listener


def test_layers_and_bytes_are_counted_as_they_come() -> None:
    progress = heard(*LINES).progress("web", "PULLING", 0.0, 1)
    assert (progress.layers_done, progress.layers) == (1, 2)
    assert (progress.bytes_loaded, progress.bytes_total) == (10, 100)


def test_a_layer_that_is_being_unpacked_is_loaded_and_not_done() -> None:
    unpacking = {"status": "Extracting", "progressDetail": {"current": 1, "total": 100}, "id": "app"}
    progress = heard(*LINES, unpacking).progress("web", "PULLING", 0.0, 1)
    assert (progress.layers_done, progress.bytes_loaded) == (1, 100)


def test_the_registrys_digest_is_heard() -> None:
    listener = heard(*LINES, {"status": "Pull complete", "id": "app"}, {"status": f"Digest: {DIGEST}"})
    assert listener.digest == DIGEST
    assert listener.progress("web", "PULLING", 0.0, 1).layers_done == 2
