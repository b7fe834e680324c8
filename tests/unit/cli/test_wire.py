"""`homeport wire` against a stand-in that streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from controller.cli import main
from controller.cli.client import Client
from controller.wire.records import WireRecord, line_of
from tests.unit.cli.conftest import StandInController, ecs, write_profile
from tests.unit.wire.samples import TASK, record

HEARTBEAT = record(1, "controller", "HeartbeatMessage", messageId="h")
WHERE = {"clusterArn": "cluster", "containerInstanceArn": "instance"}
PAYLOAD = record(2, "controller", "PayloadMessage", messageId="p", tasks=[{"arn": TASK}], **WHERE)
OTHER = record(3, "controller", "PayloadMessage", messageId="o", tasks=[{"arn": "task/other"}], **WHERE)
ACK = record(4, "agent", "AckRequest", messageId="p")
OTHER_ACK = record(5, "agent", "AckRequest", messageId="o")
ALL = (HEARTBEAT, PAYLOAD, OTHER, ACK, OTHER_ACK)


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Have the controller stream five records and end; the paths that it is asked for."""
    write_profile(tmp_path, "http://127.0.0.1:1")
    paths: list[str] = []

    def stream(_: Client, path: str) -> Iterator[bytes]:
        paths.append(path)
        yield from map(line_of, ALL)

    monkeypatch.setattr(Client, "stream", stream)
    return paths


def numbers(*arguments: str) -> list[int]:
    """The numbers of the records that are shown."""
    shown = CliRunner().invoke(main, ["wire", *arguments]).stdout.splitlines()
    return [int(line.split("#")[1].split()[0]) for line in shown]


@pytest.mark.usefixtures("streaming")
def test_everything_but_heartbeats_is_shown_in_order() -> None:
    assert numbers() == [2, 3, 4, 5]
    assert numbers("--heartbeats") == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("streaming")
def test_of_a_task_its_messages_and_their_answers_are_shown() -> None:
    assert numbers("--task", TASK) == [2, 4]
    assert numbers("--task", "a" * 32) == [2, 4]


@pytest.mark.usefixtures("streaming")
def test_json_is_what_the_controller_streams() -> None:
    result = CliRunner().invoke(main, ["wire", "--json"])
    assert result.stdout.encode() == b"".join(map(line_of, ALL))
    assert json.loads(result.stdout.splitlines()[1])["message"]["messageId"] == "p"


@pytest.mark.usefixtures("streaming")
def test_the_end_of_the_controller_is_a_failure_that_says_what_to_do() -> None:
    result = CliRunner().invoke(main, ["wire"])
    assert result.exit_code == 1
    assert "the controller has ended" in result.stderr


def test_an_instance_is_asked_for_by_its_whole_id(streaming: list[str]) -> None:
    CliRunner().invoke(main, ["wire", "--instance", f"arn:aws:ecs:r:0:container-instance/default/{'1' * 32}"])
    assert streaming == [f"/wire?instance={'1' * 32}"]


@pytest.mark.parametrize(("beginning", "found"), [("1", "1" * 32), ("2", None), ("12", None)])
def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(
    stand_in: StandInController, monkeypatch: pytest.MonkeyPatch, beginning: str, found: str | None
) -> None:
    asked: list[str] = []

    def stream(_: Client, path: str) -> Iterator[bytes]:
        asked.append(path)
        return iter(())

    monkeypatch.setattr(Client, "stream", stream)
    stand_in.answers[ecs("ListClusters")] = lambda _: {"clusterArns": ["cluster/a"]}
    ids = ["1" * 32, "2" + "3" * 31, "2" * 32]
    stand_in.answers[ecs("ListContainerInstances")] = lambda _: {
        "containerInstanceArns": [f"i/a/{i}" for i in ids]
    }
    result = CliRunner().invoke(main, ["wire", "--instance", beginning])
    assert asked == ([f"/wire?instance={found}"] if found else [])
    assert found or "homeport instances" in result.stderr


def test_losses_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:1")
    lost: WireRecord = replace(PAYLOAD, dropped=7)
    monkeypatch.setattr(Client, "stream", lambda *_: iter([line_of(lost)]))
    assert "7 messages were not read in time" in CliRunner().invoke(main, ["wire"]).stderr


def test_what_is_no_record_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:1")
    strange: list[Any] = [b'{"number": "one"}\n']
    monkeypatch.setattr(Client, "stream", lambda *_: iter(strange))
    assert "no record of the wire" in CliRunner().invoke(main, ["wire"]).stderr


@pytest.mark.usefixtures("streaming")
def test_a_recording_has_everything_and_shows_the_same_without_a_controller(tmp_path: Path) -> None:
    recording = tmp_path / "day.jsonl"
    live = CliRunner().invoke(main, ["wire", "--task", TASK, "--record", str(recording)])
    assert recording.read_bytes() == b"".join(map(line_of, ALL))
    assert recording.stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(main, ["wire", "--task", TASK, "--replay", str(recording)])
    assert again.exit_code == 0
    assert again.stdout == live.stdout != ""
    assert "our rules agree with 4 of 4 answers and orders" in again.stderr
    assert numbers("--replay", str(recording), "--heartbeats") == [1, 2, 3, 4, 5]


def test_a_recording_is_shown_of_one_instance_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    recording = tmp_path / "day.jsonl"
    recording.write_bytes(line_of(PAYLOAD) + line_of(replace(OTHER, instance="2" * 32)))
    assert numbers("--replay", str(recording), "--instance", "22") == [3]


@pytest.mark.usefixtures("streaming")
def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").write_text("mine")
    result = CliRunner().invoke(main, ["wire", "--record", str(tmp_path / "day.jsonl")])
    assert result.exit_code == 1
    assert "record into a new file" in result.stderr
    assert (tmp_path / "day.jsonl").read_text() == "mine"


@pytest.mark.usefixtures("streaming")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--record", "{folder}/none/day.jsonl"], "cannot be written"),
        (["--replay", "{folder}/none.jsonl"], "cannot be read"),
        (["--replay", "{folder}/a", "--record", "{folder}/b"], "not recorded again"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    given = [each.format(folder=tmp_path) for each in arguments]
    result = CliRunner().invoke(main, ["wire", *given])
    assert result.exit_code != 0
    assert said in result.stderr


def test_what_does_not_follow_from_the_rules_is_shown_with_what_they_say(tmp_path: Path) -> None:
    recording = tmp_path / "day.jsonl"
    again = replace(PAYLOAD, number=6, message={**PAYLOAD.message, "messageId": "q"})
    recording.write_bytes(b"".join(map(line_of, (PAYLOAD, OTHER_ACK, ACK, again))))
    result = CliRunner().invoke(main, ["wire", "--replay", str(recording)])
    lines = result.stdout.splitlines()
    assert lines[2] == "    but by our rules: AckRequest p"
    assert lines[5] == f"    but by our rules: nothing is to be sent of {'a' * 32}"
    assert "agree with 2 of 4" in result.stderr
    as_json = CliRunner().invoke(main, ["wire", "--json", "--replay", str(recording)])
    assert as_json.stdout.encode() == recording.read_bytes()


def test_what_is_no_recording_is_not_replayed(tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").write_text("{}\n")
    result = CliRunner().invoke(main, ["wire", "--replay", str(tmp_path / "day.jsonl")])
    assert result.exit_code == 1
    assert "cannot be replayed" in result.stderr
