"""`homeport wire`: what passes between the controller and its agents."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import click

from agent.protocol.arn import last_segment
from controller.cli.client import Client
from controller.cli.errors import CommandFailed
from controller.cli.options import data_dir_option
from controller.cli.profile import load_profile
from controller.wire.records import WIRE_PATH, UnreadableRecord, WireRecord, line_of, record_of
from controller.wire.sequence import HEARTBEATS, Sequence, Step, line, tasks_of


@click.command(short_help="Show what passes between controller and agents.")
@click.option("--instance", default="", metavar="ID", help="The only container instance, by id or ARN.")
@click.option("--task", default="", metavar="ID", help="The only task, by id or ARN, and what answers it.")
@click.option("--heartbeats", is_flag=True, help="Show heartbeats too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: everything that passes.")
@data_dir_option
def wire(instance: str, task: str, heartbeats: bool, as_json: bool, data_dir: Path | None) -> None:
    """Show what passes between the controller and its agents as it passes: the messages of ACS and TCS and
    agents' calls of the API, each with what it answers, and after how long. Secrets are masked. Ctrl-C ends
    it.

    A JSON line has number, at (epoch seconds), way (acs, tcs, api), connection (tells websockets apart),
    cluster, instance, sender (agent, controller), type, message, call (the API's request id) and dropped (how
    many were lost before it, because they were not read in time).

    \b
    Examples:
      homeport wire
      homeport wire --instance 4b96f4213a31 --heartbeats
      homeport wire --task 0d9bb7a3bbadd6de135225e70957e616
      homeport wire --json | jq -c 'select(.type == "PayloadMessage")'
    """
    client = Client(load_profile(data_dir))
    records = _records(client.stream(f"{WIRE_PATH}?instance={quote(_whole_id(client, instance), safe='')}"))
    try:
        for step in _chosen(records, last_segment(task), heartbeats=heartbeats or as_json):
            _show(step, as_json=as_json)
    except KeyboardInterrupt:
        return
    raise CommandFailed("the controller has ended", "start it again with 'homeport up', then this command")


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


def _chosen(records: Iterable[WireRecord], task: str, *, heartbeats: bool) -> Iterator[Step]:
    """What is to be shown of the records: all, or what names a task and what answers that."""
    sequence = Sequence()
    for record in records:
        step = sequence.step(record)
        named = tasks_of(record) | (tasks_of(step.answers) if step.answers else frozenset())
        if (not task or task in named) and (heartbeats or record.type not in HEARTBEATS):
            yield step


def _show(step: Step, *, as_json: bool) -> None:
    if as_json:
        click.echo(line_of(step.record), nl=False)
        return
    if step.record.dropped:
        click.echo(f"… {step.record.dropped} messages were not read in time and are lost", err=True)
    click.echo(line(step))
