"""Environment files as ECS reads them."""

from __future__ import annotations

import pytest

from controller.secrets.environment_file import merged, parse_environment_file


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# comment\n\nA=1\n#B=2", {"A": "1"}),
        ("URL=http://x/?a=b&c=d", {"URL": "http://x/?a=b&c=d"}),
        ('QUOTED="a b" ', {"QUOTED": '"a b" '}),
        ("no delimiter\n=nameless\nvalueless=\nA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("", {}),
    ],
)
def test_lines_are_taken_to_the_letter(text: str, variables: dict[str, str]) -> None:
    assert parse_environment_file(text) == variables


def test_of_several_files_the_first_counts() -> None:
    assert merged([{"A": "1"}, {"A": "2", "B": "2"}, {"B": "3", "C": "3"}]) == {"A": "1", "B": "2", "C": "3"}
    assert merged([]) == {}
