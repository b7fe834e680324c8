"""`homeport wire`: what passes between the controller and its agents."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import click

from agent.protocol.arn import last_segment
from controller.cli.client import Client
from controller.cli.errors import CommandFailed, ExitCode
from controller.cli.options import data_dir_option
from controller.cli.profile import load_profile
from controller.cli.replay import judgements
from controller.wire.records import WIRE_PATH, UnreadableRecord, WireRecord, line_of, record_of
from controller.wire.sequence import HEARTBEATS, Sequence, Step, line, tasks_of

_NONE: Mapping[int, str] = {}
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(short_help="Show what passes between controller and agents.")
@click.option("--instance", default="", metavar="ID", help="The only container instance, by id or ARN.")
@click.option("--task", default="", metavar="ID", help="The only task, by id or ARN, and what answers it.")
@click.option("--heartbeats", is_flag=True, help="Show heartbeats too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: everything that passes.")
@click.option("--record", type=_FILE, metavar="FILE", help="Write all of it to a new file as well.")
@click.option("--replay", type=_FILE, metavar="FILE", help="Show a recording instead, without a controller.")
@data_dir_option
def wire(
    instance: str,
    task: str,
    heartbeats: bool,
    as_json: bool,
    record: Path | None,
    replay: Path | None,
    data_dir: Path | None,
) -> None:
    """Show what passes between the controller and its agents as it passes: the messages of ACS and TCS and
    agents' calls of the API, each with what it answers, and after how long. Secrets are masked. Ctrl-C ends
    it.

    A JSON line has number, at (epoch seconds), way (acs, tcs, api), connection (tells websockets apart),
    cluster, instance, sender (agent, controller), type, message, call (the API's request id) and dropped (how
    many were lost before it, because they were not read in time).

    A recording is such lines, of whatever passes at the instances that are watched, shown or not. As it is
    replayed, it is put to the rules of our agent and of the controller, and each answer or order that does
    not follow from them is shown with what they say.

    \b
    Examples:
      homeport wire
      homeport wire --instance 4b96f4213a31 --heartbeats
      homeport wire --task 0d9bb7a3bbadd6de135225e70957e616
      homeport wire --json | jq -c 'select(.type == "PayloadMessage")'
      homeport wire --record today.jsonl
      homeport wire --replay today.jsonl --task 0d9bb7a3bbadd6de135225e70957e616
    """
    if record and replay:
        raise CommandFailed("a recording is not recorded again", "copy its file", ExitCode.USAGE)
    choice = _Choice(last_segment(task), heartbeats or as_json, as_json)
    if replay:
        instance = last_segment(instance)
        found = {} if as_json else judgements(replay)
        choice.show((each for each in _recorded(replay) if each.instance.startswith(instance)), found)
        if found:
            agreed = sum(1 for each in found.values() if not each)
            click.echo(f"our rules agree with {agreed} of {len(found)} answers and orders", err=True)
        return
    client = Client(load_profile(data_dir))
    lines = client.stream(f"{WIRE_PATH}?instance={quote(_whole_id(client, instance), safe='')}")
    with _recording(record) as keep:
        try:
            choice.show(_records(keep(each) for each in lines))
        except KeyboardInterrupt:
            return
    raise CommandFailed("the controller has ended", "start it again with 'homeport up', then this command")


@contextmanager
def _recording(path: Path | None) -> Iterator[Callable[[bytes], bytes]]:
    """Something that writes each line to a new file, which its owner alone may read, and passes it on."""
    if path is None:
        yield lambda line: line
        return
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
    except FileExistsError:
        raise CommandFailed(f"{path} is there already", "record into a new file") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}", "record elsewhere") from None

    def keep(line: bytes) -> bytes:
        try:
            file.write(line)
        except OSError as error:
            raise CommandFailed(f"{path} cannot be written: {error.strerror}", "make room for it") from None
        return line

    with file:
        yield keep


def _recorded(path: Path) -> Iterator[WireRecord]:
    try:
        with path.open("rb") as file:
            yield from _records(file)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", "name another file") from None


def _whole_id(client: Client, instance: str) -> str:
    """The id of a container instance of any cluster, of which the beginning may be given."""
    wanted = last_segment(instance)
    if not wanted or len(wanted) == 32:
        return wanted
    found = {
        last_segment(arn)
        for cluster in client.list_all("ListClusters", "clusterArns")
        for arn in client.list_all("ListContainerInstances", "containerInstanceArns", cluster=cluster)
    }
    matching = [each for each in found if each.startswith(wanted)]
    if len(matching) != 1:
        raise CommandFailed(
            f"{len(matching) or 'no'} container instances have an id that begins with {wanted}",
            "'homeport instances' shows them all",
        )
    return matching[0]


def _records(lines: Iterable[bytes]) -> Iterator[WireRecord]:
    for text in lines:
        try:
            yield record_of(text)
        except UnreadableRecord as error:
            raise CommandFailed(
                f"this is no record of the wire: {error}", "use the same version of Homeport on both sides"
            ) from None


@dataclass(frozen=True)
class _Choice:
    """What to show, and how."""

    task: str
    """The id of the only task; empty: all."""
    heartbeats: bool
    as_json: bool

    def show(self, records: Iterable[WireRecord], objections: Mapping[int, str] = _NONE) -> None:
        """Print what is chosen of the records, as they come, with what the rules have against them."""
        sequence = Sequence()
        for record in records:
            step = sequence.step(record)
            if self._wants(step):
                self._print(step)
                if objection := objections.get(step.record.number):
                    click.echo(f"    but by our rules: {objection}")

    def _wants(self, step: Step) -> bool:
        named = tasks_of(step.record) | (tasks_of(step.answers) if step.answers else frozenset())
        return (not self.task or self.task in named) and (
            self.heartbeats or step.record.type not in HEARTBEATS
        )

    def _print(self, step: Step) -> None:
        if self.as_json:
            click.echo(line_of(step.record), nl=False)
            return
        if step.record.dropped:
            click.echo(f"… {step.record.dropped} messages were not read in time and are lost", err=True)
        click.echo(line(step))
