"""The `homeport` command.

Nothing here imports the controller's own parts: `homeport controller` and `homeport agent` start them as
processes of their own, so that every other command answers at once.
"""

from controller.cli.root import main

__all__ = ["main"]
