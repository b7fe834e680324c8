"""`homeport disk`: who holds what of this machine's disks."""

import http.client
import json
from collections.abc import Sequence

import click

from controller.cli.client import Answer
from controller.cli.errors import CommandFailed
from controller.cli.options import output_option
from controller.cli.output import print_json, print_table, short

_PATIENCE_S = 120.0
"""The engine adds up the files of every container before it answers."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_LARGEST_SHOWN = 10


@click.command(short_help="Show who holds what of this machine's disks.")
@click.option(
    "--agent",
    "address",
    default="127.0.0.1:51678",
    show_default=True,
    envvar="HOMEPORT_INTROSPECTION_LISTEN",
    metavar="HOST:PORT",
    help="Where the agent's introspection API listens [HOMEPORT_INTROSPECTION_LISTEN].",
)
@output_option
def disk(address: str, output: str) -> None:
    """Show who holds what of this machine's disks: images, containers, logs, volumes and build caches.

    What belongs to Homeport's tasks and what to others is told apart, and what nobody uses is named.

    \b
    Examples:
      homeport disk
      homeport disk --output json | jq '[.Volumes[] | select(.Mounted | not)]'
    """
    usage = _ask(address)
    if output == "json":
        print_json(usage)
        return
    print_table(
        ["DISK", "FULL", "FREE", "TOTAL", "STATUS"], [_disk_row(usage, each) for each in usage["Disks"]]
    )
    click.echo()
    print_table(["WHAT", "HOMEPORT", "OTHERS", "UNUSED"], _kind_rows(usage))
    if rows := _task_rows(usage):
        click.echo()
        print_table(["TASK", "CONTAINERS", "LOGS", "VOLUMES"], rows[:_LARGEST_SHOWN])
        if len(rows) > _LARGEST_SHOWN:
            click.echo(f"and {len(rows) - _LARGEST_SHOWN} tasks that hold less; --output json has them all")
    if rows := _largest_unused(usage):
        click.echo()
        print_table(["UNUSED", "OF", "SIZE"], rows)


def _ask(address: str) -> Answer:
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/v1/disk")
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandFailed(
            f"no agent of Homeport answers at {address}: {error or type(error).__name__}",
            "run this on the machine of the agent, or say with --agent where its introspection API listens",
        ) from None
    finally:
        connection.close()
    if not isinstance(answer, dict) or "Disks" not in answer:
        reason = answer.get("Error") if isinstance(answer, dict) else None
        raise CommandFailed(
            f"the agent at {address} cannot tell: {reason or 'it does not know the question'}",
            "look at the agent's log, and whether it is of this version",
        )
    return answer


def _disk_row(usage: Answer, one: Answer) -> list[str]:
    fullest = one is usage["Disks"][0]
    return [
        str(one["Path"]),
        f"{one['Percent']} %",
        size(one["Available"]),
        size(one["Total"]),
        str(usage["Status"]) if fullest else "-",
    ]


def _kind_rows(usage: Answer) -> list[list[str]]:
    """One line a kind. Layers that images share are counted once, with nobody's."""
    images, containers, volumes = usage["Images"], usage["Containers"], usage["Volumes"]
    unique = sum(image["Unique"] for image in images)
    idle = [container for container in containers if container["State"] != "running"]
    return [
        [
            "images",
            *_by_owner(images, "Unique"),
            size(sum(image["Unique"] for image in images if not image["Containers"])),
        ],
        ["shared layers", "-", size(max(0, usage["Layers"] - unique)), "-"],
        ["containers", *_by_owner(containers, "Writable"), size(sum(c["Writable"] for c in idle))],
        ["logs", *_by_owner(containers, "Logs"), size(sum(c["Logs"] or 0 for c in idle))],
        [
            "volumes",
            *_by_owner(volumes, "Size"),
            size(sum(volume["Size"] or 0 for volume in volumes if not volume["Mounted"])),
        ],
        ["build cache", "-", size(usage["BuildCache"]), "-"],
    ]


def _by_owner(things: Sequence[Answer], member: str) -> list[str]:
    """What is Homeport's and what is others'; `?` where nothing could be measured."""
    sums = []
    for owner in ("homeport", "others"):
        sizes = [thing[member] for thing in things if thing["Owner"] == owner]
        known = [each for each in sizes if each is not None]
        sums.append("?" if sizes and not known else size(sum(known)))
    return sums


def _task_rows(usage: Answer) -> list[list[str]]:
    """One line a task, the largest first."""
    held: dict[str, list[int]] = {}
    for container in usage["Containers"]:
        if container["Task"] is not None:
            sums = held.setdefault(container["Task"], [0, 0, 0])
            sums[0] += container["Writable"]
            sums[1] += container["Logs"] or 0
    for volume in usage["Volumes"]:
        for task in volume["Tasks"]:
            held.setdefault(task, [0, 0, 0])[2] += volume["Size"] or 0
    ordered = sorted(held.items(), key=lambda item: (-sum(item[1]), item[0]))
    return [[short(task), *map(size, sums)] for task, sums in ordered]


def _largest_unused(usage: Answer) -> list[list[str]]:
    """What could go and would free most: images that no container is made of, volumes that none mounts."""
    images = [
        (image["Unique"], ", ".join(image["Names"]) or image["Id"], image["Owner"])
        for image in usage["Images"]
        if not image["Containers"]
    ]
    volumes = [
        (volume["Size"] or 0, f"volume {volume['Name']}", volume["Owner"])
        for volume in usage["Volumes"]
        if not volume["Mounted"]
    ]
    found = sorted((each for each in images + volumes if each[0]), reverse=True)[:_LARGEST_SHOWN]
    return [[name, owner, size(held)] for held, name, owner in found]


def size(number: float) -> str:
    """Bytes in a unit that people read, such as `1.4 GiB`."""
    power = 0
    while number >= 1024 and power < len(_UNITS) - 1:
        number, power = number / 1024, power + 1
    return f"{number:.{1 if power else 0}f} {_UNITS[power]}"
