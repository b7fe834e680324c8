"""The controller's address and the administrator's key, as the controller left them in its data directory."""

from pathlib import Path

from controller.cli.errors import CommandFailed
from controller.cli.settings import SYSTEM_DATA_DIR
from controller.keyring import ClientProfile, load_client_profile


def load_profile(data_dir: Path) -> ClientProfile:
    """What `homeport` needs to talk to the controller of this data directory.

    Raises `CommandFailed` when no controller has ever run there, or when its files cannot be read.
    """
    try:
        return load_client_profile(data_dir)
    except (FileNotFoundError, NotADirectoryError):
        roots = SYSTEM_DATA_DIR.exists() and data_dir != SYSTEM_DATA_DIR
        raise CommandFailed(
            f"no controller has run on {data_dir} yet",
            f"root's is in {SYSTEM_DATA_DIR}: use sudo, or name another folder with --data-dir"
            if roots
            else "start one with 'homeport up', or name its folder with --data-dir or HOMEPORT_DATA_DIR",
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
