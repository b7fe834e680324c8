"""A recording put to the rules of the agent and of the controller, each in a process of its own."""

import json
import subprocess
from pathlib import Path

from controller.cli.commands import PYTHON
from controller.cli.errors import CommandFailed

_PROGRAMS = ("agent.session.replay", "controller.wire.replay")


def judgements(recording: Path) -> dict[int, str]:
    """What the rules have against the recorded answers and orders, by the number of the record; empty where
    they agree. Records that the rules do not decide are not in it.

    Raises `CommandFailed` if the file is no recording.
    """
    if not recording.is_file():
        raise CommandFailed(f"{recording} cannot be read: there is no such file", "name another file")
    found: dict[int, str] = {}
    for program in _PROGRAMS:
        run = subprocess.run(
            [*PYTHON, "-m", program, str(recording)], capture_output=True, text=True, check=False
        )
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["no reason"])[-1]
            raise CommandFailed(f"{recording} cannot be replayed: {reason}", "name a whole recording")
        for line in run.stdout.splitlines():
            judged = json.loads(line)
            found[judged["number"]] = "" if judged["agrees"] else judged["says"]
    return found
