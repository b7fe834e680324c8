"""Every input member of every operation that is here is exercised, and what becomes of it is written down."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.conformance.compatibility import DOCUMENT, document
from tests.conformance.model_members import IGNORED, NOT_EXERCISED, members
from tests.support.members import exercised
from tests.unit.api.output_shapes import ecs_model


@pytest.fixture(autouse=True)
def _few_logs() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


def test_the_tables_name_what_is_in_the_model() -> None:
    structures = {ecs_model().shape_for(name).name for name in ecs_model().shape_names}
    for name in [*NOT_EXERCISED, *IGNORED]:
        structure, _, member = name.partition(".")
        assert structure in structures, name
        assert not member or member in ecs_model().shape_for(structure).members, name


async def test_the_document_of_compatibility_is_up_to_date_and_names_alternatives() -> None:
    text = await document(exercised)
    assert DOCUMENT.read_text() == text, "run python -m tests.conformance.compatibility and commit its file"
    assert not [
        line for line in text.splitlines() if line.startswith("- **refused**") and line.endswith(": ")
    ]


def test_every_member_is_exercised_or_says_why_not(touched_members: set[str]) -> None:
    untouched = {
        f"{member} ({operation})"
        for member, operation in members().items()
        if member not in touched_members
        and member not in NOT_EXERCISED
        and member.partition(".")[0] not in NOT_EXERCISED
    }
    assert not untouched, "no test touches " + ", ".join(sorted(untouched))
