"""Opening the checkpoint at a start: a file of which nothing can be made never keeps the agent from starting.

It is kept under another name, and an empty one takes its place that remembers to be rebuilt: the tasks are
found again by the labels of their containers. Who this agent is stands in a file of its own.
"""

import contextlib
from pathlib import Path

import structlog

from agent.checkpoint import FILE_NAME, Checkpoint, CheckpointError, CheckpointUnusableError, Contents

log = structlog.get_logger(__name__)


def open_checkpoint(
    data_dir: Path, owner: str, now: float, forget_before: float
) -> tuple[Checkpoint, Contents]:
    """Open the checkpoint in ``data_dir`` and read it, without the ARNs that ended before ``forget_before``.

    Times are epoch seconds. ``owner`` is the mark of this agent's identity. A file that is damaged, that a
    newer agent wrote, or that is another identity's, becomes ``agent.db.<damaged|newer|foreign>-<now>``.
    Raises ``CheckpointError`` if the file cannot be opened at present.
    """
    path = data_dir / FILE_NAME
    try:
        return _open_and_load(path, owner, forget_before)
    except CheckpointUnusableError as error:
        aside = path.with_name(f"{FILE_NAME}.{error.what}-{int(now)}")
        log.error(  # noqa: TRY400
            "checkpoint_put_aside",
            reason=str(error),
            put_aside=str(aside),
            next="tasks are rebuilt from the labels of their containers; the file is kept to be looked at",
        )
        put_aside(path, aside)
        return _open_and_load(path, owner, forget_before)


def put_aside(path: Path, aside: Path) -> None:
    """Keep a file under another name and put an empty one that is to be rebuilt in its place.

    In one step, so that a crash in between does not leave an empty file that nobody rebuilds.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    checkpoint = Checkpoint(fresh)
    checkpoint.mark_to_be_rebuilt()
    checkpoint.abandon()
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    aside.unlink(missing_ok=True)
    aside.hardlink_to(path)
    fresh.replace(path)


def _open_and_load(path: Path, owner: str, forget_before: float) -> tuple[Checkpoint, Contents]:
    checkpoint = Checkpoint(path)
    try:
        checkpoint.claim(owner)
        return checkpoint, checkpoint.load(forget_before)
    except CheckpointError:
        checkpoint.abandon()
        raise
