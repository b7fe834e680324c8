"""How a command fails: what happened, what to do next, and an exit code that scripts can trust."""

import enum
from typing import IO, Any

import click


class ExitCode(enum.IntEnum):
    """What every `homeport` command's exit status means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_CONVERGED = 3


class CommandFailed(click.ClickException):
    """The command cannot do what it was asked. `next_step` tells the person what would help."""

    def __init__(self, what: str, next_step: str = "", exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(what)
        self.next_step = next_step
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Write both sentences to standard error."""
        click.echo(f"homeport: {self.format_message()}", err=True)
        if self.next_step:
            click.echo(f"  next: {self.next_step}", err=True)
