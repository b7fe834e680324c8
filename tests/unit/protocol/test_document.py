"""What `agent/protocol/README.md` says of the wire is what the code does."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from agent.engine.container_transitions import TRANSITIONS
from agent.engine.states import Status
from tests.support.protocol_document import (
    DOCUMENT,
    MESSAGES,
    PARTS,
    container_edges,
    members_of,
    written_anew,
)


def _rows() -> dict[str, list[str]]:
    """The rows of the document's tables by the messages that their first cell names."""
    rows = defaultdict(list)
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("| `"):
            for name in re.findall(r"`(\w+)`", line.split("|")[1]):
                rows[name].append(line)
    return rows


def test_its_generated_parts_are_current() -> None:
    document = DOCUMENT.read_text()
    assert written_anew(document) == document, "run: python -m tests.support.protocol_document"


@pytest.mark.parametrize("name", PARTS)
def test_a_generated_part_that_is_out_of_date_is_seen(name: str) -> None:
    document = DOCUMENT.read_text()
    mark = f"<!-- generated: {name} -->\n"
    stale = document.replace(mark, f"{mark}Something else.\n")
    assert stale != document
    assert written_anew(stale) == document


def test_a_document_without_a_place_for_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places for 'container states'"):
        written_anew("# Nothing\n")


def test_every_message_and_each_of_its_members_is_described() -> None:
    rows = _rows()
    missing = [
        f"{message.__name__}.{member}"
        for message in MESSAGES
        for member, _ in members_of(message)
        if not any(f"`{member}`" in row for row in rows[message.__name__])
    ]
    assert missing == []


def test_every_entry_of_the_containers_table_is_run_for_the_diagram() -> None:
    ran = {(before, kind) for (before, _), kinds in container_edges().items() for kind in kinds}
    assert ran == {(status, kind.__name__) for status, kind in TRANSITIONS}


def test_a_container_never_goes_back() -> None:
    assert all(after >= before for before, after in container_edges())
    assert {after for _, after in container_edges()} == set(Status)
