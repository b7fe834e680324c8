"""The data directory's lock: two controllers never share one directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from controller.state.store.interface import StoreInUse


class DataDirectoryLock:
    """Held from construction to `release`, and let go of by the kernel when the process dies in any way."""

    def __init__(self, data_dir: Path) -> None:
        """Take the lock.

        Raises:
            StoreInUse: another process holds it.
            OSError: the file cannot be made.
        """
        path = data_dir / "controller.lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise StoreInUse(
                f"another controller works on {data_dir}: stop it first, or give this one another --data-dir"
            ) from error

    def release(self) -> None:
        """Let go of the lock."""
        os.close(self._descriptor)
