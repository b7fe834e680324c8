"""``python -m agent.endpoints.release``: takes away the netfilter rules for the tasks' address.

An agent that ends while containers run on leaves its rules to its next start. Where there will be none, as
after uninstalling, this removes them; it leaves alone what a running agent owns.
"""

import sys

from agent.endpoints.task_address import RulesError, release


def main() -> int:
    """The process's exit code: 0 if nothing of ours is left."""
    try:
        reason = release()
    except RulesError as error:
        reason = str(error)
    if reason:
        sys.stderr.write(f"the rules for the tasks' address are left as they are: {reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
