"""That the rules which the checks are told to enforce leave nothing out."""

import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "agent",
    "controller",
    "deploy",
    "tests",
}


def test_every_dependency_but_msgspec_is_forbidden_to_the_wire() -> None:
    names = {
        requirement.partition(">")[0].replace("-", "_") for requirement in PROJECT["project"]["dependencies"]
    }
    (contract,) = [
        contract
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["source_modules"] == ["agent.protocol"]
    ]
    assert names - set(contract["forbidden_modules"]) == {"msgspec"}


def test_the_tested_versions_are_within_the_ranges_that_the_project_names() -> None:
    constraints = (REPOSITORY / "deploy" / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in PROJECT["project"]["dependencies"]:
        assert f"\n{requirement.partition('>')[0]}==" in constraints


def test_nothing_lies_at_the_top_that_has_no_place_there() -> None:
    found = {path.name for path in REPOSITORY.iterdir() if not path.name.startswith(".")}
    assert {name for name in found if not name.endswith(".egg-info")} <= TOP_LEVEL
