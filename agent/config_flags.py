"""The agent's command line."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

DESCRIBED = {
    "availability_zone": ("NAME", "rack, room or site, for placement that spreads"),
    "ca_file": ("FILE", "certificates of the authorities that vouch for the controller"),
    "cluster": ("NAME", "the cluster to join"),
    "controller_url": ("URL", "the controller's address"),
    "credentials_address": ("H:P", "where task metadata and credentials are served"),
    "drain_on_exit_s": ("DURATION", "on SIGTERM drain first, and wait so long for the tasks to end"),
    "instance_attributes": ("JSON", "custom attributes for placement, sent at the first registration"),
    "introspection_address": ("H:P", "where the introspection API listens"),
    "join_token": ("TOKEN", "join with what 'homeport token create' printed"),
    "log_format": ("F", "text or json"),
    "log_level": ("L", "crit, error, warn, info or debug"),
    "metrics_address": ("H:P", "where Prometheus finds the agent's metrics"),
}
"""Placeholder and meaning of each setting that has a flag."""


def parser(settings: Sequence[dataclasses.Field[Any]], listing: Callable[[], str]) -> argparse.ArgumentParser:
    """The parser of the flags that ``settings`` name; ``listing`` gives the text for ``--settings``."""
    made = argparse.ArgumentParser(
        prog="python -m agent",
        description="Runs this machine as a container instance of a Homeport cluster.",
        epilog="The access key comes from a join token, or else from AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY. Settings of amazon-ecs-agent are taken from the same ECS_* variables and "
        "the same JSON file; --settings lists "
        "all of them, and those that have no effect here.",
        allow_abbrev=False,
    )
    made.add_argument("--data-dir", metavar="D", help="what survives a restart is kept here")
    made.add_argument("--config", metavar="FILE", help="the settings file (ECS_AGENT_CONFIG_FILE_PATH)")
    made.add_argument("--settings", action=_Show, listing=listing, help="list every setting, and end")
    for setting in settings:
        if flag := setting.metadata.get("flag"):
            metavar, text = DESCRIBED[setting.name]
            default = f"; default {setting.default}" if setting.default else ""
            made.add_argument(
                flag,
                dest=setting.name,
                metavar=metavar,
                help=f"{text} ({setting.metadata['env']}{default})",
            )
    return made


class _Show(argparse.Action):
    """Write a text to standard output and end the process, as ``--help`` does."""

    def __init__(self, *, listing: Callable[[], str], **settings: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, **settings)
        self._listing = listing

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        sys.stdout.write(self._listing())
        parser.exit()
