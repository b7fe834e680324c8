"""The controller's address and a key for it: what a controller left in its data directory, or a person who
logged in left in a named profile."""

import os
import re
from pathlib import Path

import click

from controller.cli.errors import CommandFailed, ExitCode
from controller.cli.settings import SYSTEM_DATA_DIR, data_directory
from controller.keyring import CLIENT_PROFILE_FILE, ClientProfile, load_client_profile

DEFAULT_PROFILE = "default"
"""The named profile that is used where nothing else is named and no controller has run on this machine."""

_PROFILE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def named_profile_folder(name: str) -> Path:
    """Where a named profile is kept: the same files as a controller leaves in its data directory.

    Raises `CommandFailed` (usage) for what cannot be a name.
    """
    if not _PROFILE_NAME.fullmatch(name) or name.startswith("."):
        raise CommandFailed(
            f"a profile cannot be named {name!r}", "take letters, digits and any of _.-", ExitCode.USAGE
        )
    settings = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(settings).expanduser() / "homeport" / "profiles" / name


def load_profile(data_dir: Path | None) -> ClientProfile:
    """What `homeport` needs to talk to the controller of a data directory; of the profile that `--profile`
    names; of the data directory that the environment names or that is usual; or of the profile `default`.

    Raises `CommandFailed` when there is none, or when its files cannot be read.
    """
    context = click.get_current_context(silent=True)
    name = context.find_root().params.get("profile") if context else None
    if data_dir is None and name:
        return _named(name)
    folder = data_directory(data_dir)
    default = named_profile_folder(DEFAULT_PROFILE)
    unused = data_dir is None and not os.environ.get("HOMEPORT_DATA_DIR") and not folder.exists()
    return _load(default if unused and (default / CLIENT_PROFILE_FILE).exists() else folder)


def _named(name: str) -> ClientProfile:
    folder = named_profile_folder(name)
    if not folder.exists():
        raise CommandFailed(
            f"there is no profile {name}", f"write it with 'homeport login URL --name {name}'"
        )
    return _load(folder)


def _load(data_dir: Path) -> ClientProfile:
    try:
        return load_client_profile(data_dir)
    except (FileNotFoundError, NotADirectoryError):
        roots = SYSTEM_DATA_DIR.exists() and data_dir != SYSTEM_DATA_DIR
        raise CommandFailed(
            f"no controller has run on {data_dir} yet",
            f"root's is in {SYSTEM_DATA_DIR}: use sudo, or name another folder with --data-dir"
            if roots
            else "start one with 'homeport up', name its folder with --data-dir or HOMEPORT_DATA_DIR, or "
            "use one elsewhere with 'homeport login'",
        ) from None
    except PermissionError as error:
        raise CommandFailed(
            f"not permitted to read {error.filename or data_dir}",
            "run this as the user who runs the controller, for example with sudo",
        ) from None
    except ValueError as error:
        raise CommandFailed(
            str(error), "start the controller again: it writes client.json anew at each start"
        ) from None
