"""What survives a restart: the tasks of this agent, the ARNs of those that have ended here, its images.

One SQLite file, the only SQL on the agent. A task's definition is written once, its state after every step;
steps that come while a write is under way share the next transaction. A row of a task always comes with the
rows of its containers, and a container's name is on disk before the engine is asked to create it.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from agent.engine.image_ledger import PulledImage
from agent.engine.lanes import Lane
from agent.engine.states import ContainerState, ResourceStatus, TaskPlan, TaskState
from agent.protocol import acs

log = structlog.get_logger(__name__)

FILE_NAME = "agent.db"
SCHEMA_VERSION = 1
_TO_BE_REBUILT = 1
_RETRY_S = 1.0
_PRIMARY_CODE = 0xFF
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)

_SCHEMA = """
CREATE TABLE task (
    arn TEXT PRIMARY KEY,
    definition BLOB NOT NULL,
    plan BLOB NOT NULL,
    state BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE container (
    task_arn TEXT NOT NULL REFERENCES task (arn) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    docker_name TEXT NOT NULL UNIQUE,
    state BLOB NOT NULL,
    PRIMARY KEY (task_arn, position)
) WITHOUT ROWID;
CREATE TABLE tombstone (
    arn TEXT PRIMARY KEY,
    ended_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX tombstone_by_age ON tombstone (ended_at);
"""

_ADDED = """
CREATE TABLE IF NOT EXISTS image (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owner (
    mark TEXT PRIMARY KEY
) WITHOUT ROWID;
"""
"""What came later and older agents pass over; files from before get it when they are opened."""

_PUT_TASK = """
INSERT INTO task (arn, definition, plan, state) VALUES (?, ?, ?, ?)
ON CONFLICT (arn) DO UPDATE SET state = excluded.state
"""
_PUT_CONTAINER = """
INSERT INTO container (task_arn, position, name, docker_name, state) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (task_arn, position) DO UPDATE SET state = excluded.state
"""


class CheckpointError(Exception):
    """The checkpoint cannot be read or written; the message says which file and why."""


class CheckpointUnusableError(CheckpointError):
    """Nothing can be made of the file, now or later; ``what`` says in a word what it is."""

    what = "unusable"


class CheckpointDamagedError(CheckpointUnusableError):
    """The file is not a database, or what it holds makes no sense."""

    what = "damaged"


class CheckpointForeignError(CheckpointUnusableError):
    """The file is that of another identity: the disk, or the directory, is a copy."""

    what = "foreign"


class CheckpointNewerError(CheckpointUnusableError):
    """The file was written by a newer agent, in a way that this one does not know."""

    what = "newer"


class StoredTask(msgspec.Struct, frozen=True):
    """Everything about a task that survives a restart. ``definition`` carries no credentials."""

    definition: acs.Task
    plan: TaskPlan
    state: TaskState


class Contents(msgspec.Struct, frozen=True):
    """What a checkpoint holds: tasks in no particular order, and when each ended ARN ended (epoch
    seconds).
    """

    tasks: tuple[StoredTask, ...]
    tombstones: Mapping[str, float]
    images: tuple[PulledImage, ...] = ()


class _Forgotten(msgspec.Struct, frozen=True):
    """A task is removed and its ARN remembered as ended."""

    ended_at: float


class _ImageForgotten(msgspec.Struct, frozen=True):
    """An image is gone."""

    image_id: str


_Written = StoredTask | _Forgotten | PulledImage | _ImageForgotten


class Checkpoint:
    """The file, open and locked: a second agent on the same data directory is refused."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at ``path``.

        Raises ``CheckpointUnusableError`` if nothing can be made of it, ``CheckpointError`` if it cannot be
        opened or is in use.
        """
        self._path = path
        self._lane = Lane("checkpoint", 1)
        self._waiting: dict[str, _Written] = {}
        self._covered: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        self._closing = asyncio.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = _open(path)

    def claim(self, owner: str) -> None:
        """Make this the checkpoint of the identity that ``owner`` marks; the first claim stands.

        Raises ``CheckpointForeignError`` if it is another's, ``CheckpointError`` if it cannot be claimed now.
        """
        try:
            rows = self._connection.execute("SELECT mark FROM owner").fetchall()
            if not rows:
                self._connection.execute("INSERT INTO owner VALUES (?)", (owner,))
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from error
        if rows and rows[0][0] != owner:
            raise CheckpointForeignError(f"{self._path} is the checkpoint of another identity, {rows[0][0]}")

    def to_be_rebuilt(self) -> bool:
        """Whether this file took the place of a damaged one and the tasks are still to be found again."""
        return self._application_id() == _TO_BE_REBUILT

    def mark_to_be_rebuilt(self) -> None:
        """Remember, over restarts, that the tasks are to be found again."""
        self._connection.execute(f"PRAGMA application_id = {_TO_BE_REBUILT}")

    def mark_rebuilt(self) -> None:
        """The tasks have been found again and written."""
        self._connection.execute("PRAGMA application_id = 0")

    def _application_id(self) -> int:
        return int(self._connection.execute("PRAGMA application_id").fetchone()[0])

    def load(self, forget_before: float) -> Contents:
        """Read everything, dropping the ARNs that ended before ``forget_before`` (epoch seconds).

        Raises ``CheckpointDamagedError`` if a row makes no sense, ``CheckpointError`` if the file cannot be
        read at present.
        """
        try:
            return self._load(forget_before)
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from error
        except msgspec.MsgspecError as error:
            raise CheckpointDamagedError(f"{self._path}: {error}") from error

    def _load(self, forget_before: float) -> Contents:
        containers: dict[str, list[ContainerState]] = {}
        rows = self._connection.execute("SELECT task_arn, state FROM container ORDER BY task_arn, position")
        for arn, state in rows:
            containers.setdefault(arn, []).append(msgspec.json.decode(state, type=ContainerState))
        tasks = []
        for arn, definition, plan, state in self._connection.execute("SELECT * FROM task"):
            own = tuple(containers.get(arn, ()))
            task = StoredTask(
                definition=msgspec.json.decode(definition, type=acs.Task),
                plan=msgspec.json.decode(plan, type=TaskPlan),
                state=msgspec.structs.replace(msgspec.json.decode(state, type=TaskState), containers=own),
            )
            if len(own) != len(task.plan.containers):
                raise CheckpointDamagedError(f"{self._path}: task {arn} lacks rows of its containers")
            tasks.append(task)
        try:
            self._connection.execute("DELETE FROM tombstone WHERE ended_at < ?", (forget_before,))
        except sqlite3.OperationalError as error:
            # A full disk is no reason not to start: what runs has to be looked after all the more.
            log.warning("tombstones_not_removed", path=str(self._path), reason=str(error))
        tombstones = self._connection.execute(
            "SELECT arn, ended_at FROM tombstone WHERE ended_at >= ? ORDER BY ended_at", (forget_before,)
        )
        kept = self._connection.execute("SELECT body FROM image")
        images = tuple(msgspec.json.decode(body, type=PulledImage) for (body,) in kept)
        return Contents(tuple(tasks), dict(tombstones.fetchall()), images)

    def put(self, task: StoredTask) -> "asyncio.Future[None]":
        """Write a task's newest state with the next transaction; the future is done when it is on disk.

        The future raises ``CheckpointError`` if that failed; the state stays in line, and is written as soon
        as that is possible.
        """
        return self._enqueue(task.plan.arn, task)

    def forget(self, task_arn: str, ended_at: float) -> "asyncio.Future[None]":
        """Remove a task and remember that its ARN ended at ``ended_at`` (epoch seconds), as ``put`` does."""
        return self._enqueue(task_arn, _Forgotten(ended_at))

    def put_image(self, image: PulledImage) -> "asyncio.Future[None]":
        """Write what is known of an image, as ``put`` does."""
        return self._enqueue(f"image {image.image_id}", image)

    def forget_image(self, image_id: str) -> "asyncio.Future[None]":
        """Remove what is known of an image, as ``put`` does."""
        return self._enqueue(f"image {image_id}", _ImageForgotten(image_id))

    async def close(self) -> None:
        """Write what is in line, if it can be written, and let go of the file."""
        self._closing.set()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self._lane.close()
        self._connection.close()

    def abandon(self) -> None:
        """Let go of the file without waiting for anything."""
        self._connection.close()

    def _enqueue(self, key: str, what: _Written) -> "asyncio.Future[None]":
        self._waiting[key] = what
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="checkpoint")
        return self._in_line()

    def _in_line(self) -> "asyncio.Future[None]":
        """What is done once the next transaction is."""
        if self._covered is None:
            self._covered = asyncio.get_running_loop().create_future()
        return self._covered

    async def _write_all(self) -> None:
        """Write until nothing is in line; everything that came during one transaction goes into the next.

        What fails, on a full disk say, is tried again every second.
        """
        await asyncio.sleep(0)  # let the steps of this turn of the loop join
        try:
            while self._covered is not None:
                batch, covered = self._waiting, self._covered
                self._waiting, self._covered = {}, None
                failure = await self._try(batch)
                if failure is not None:
                    self._waiting = {**batch, **self._waiting}
                    covered.set_exception(failure)
                    covered.exception()  # whoever waits sees it; it is no fault that nobody does
                    if self._closing.is_set():
                        return
                    self._in_line()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._closing.wait(), _RETRY_S)
                elif not covered.done():
                    covered.set_result(None)
        finally:
            self._writing = None

    async def _try(self, batch: Mapping[str, _Written]) -> CheckpointError | None:
        try:
            await self._lane.call(lambda: self._write(batch))
        except sqlite3.Error as error:
            if not self._failing:
                log.error("checkpoint_not_written", path=str(self._path), reason=str(error))  # noqa: TRY400
            self._failing = True
            return CheckpointError(f"{self._path} cannot be written: {error}")
        if self._failing:
            log.info("checkpoint_written_again", path=str(self._path))
        self._failing = False
        return None

    def _write(self, batch: Mapping[str, _Written]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for key, what in batch.items():
                match what:
                    case StoredTask():
                        self._write_task(key, what)
                    case _Forgotten():
                        connection.execute("DELETE FROM task WHERE arn = ?", (key,))
                        connection.execute(
                            "INSERT OR REPLACE INTO tombstone VALUES (?, ?)", (key, what.ended_at)
                        )
                    case PulledImage():
                        row = (what.image_id, msgspec.json.encode(what))
                        connection.execute("INSERT OR REPLACE INTO image VALUES (?, ?)", row)
                    case _ImageForgotten():
                        connection.execute("DELETE FROM image WHERE id = ?", (what.image_id,))
            connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):  # the first failure is the one to tell
                connection.execute("ROLLBACK")
            raise

    def _write_task(self, arn: str, task: StoredTask) -> None:
        encode = msgspec.json.encode
        nothing = ResourceStatus.NONE
        bare = msgspec.structs.replace(task.state, containers=(), admitted=False, resources=nothing)
        row = (arn, encode(task.definition), encode(task.plan), encode(bare))
        self._connection.execute(_PUT_TASK, row)
        pairs = zip(task.plan.containers, task.state.containers, strict=True)
        rows = [
            (arn, i, plan.name, plan.docker_name, encode(msgspec.structs.replace(state, applied=None)))
            for i, (plan, state) in enumerate(pairs)
        ]
        self._connection.executemany(_PUT_CONTAINER, rows)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _trouble(path, error) from error
    except CheckpointError:
        connection.close()
        raise
    return connection


def _trouble(path: Path, error: sqlite3.Error) -> CheckpointError:
    """What an error of SQLite says of the file: only what no later attempt can mend counts as damage."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE
    if code not in _PASSING:
        return CheckpointDamagedError(f"{path} is damaged: {error}")
    hint = ": another agent uses this data directory" if code == sqlite3.SQLITE_BUSY else ""
    return CheckpointError(f"{path} cannot be opened: {error}{hint}")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise CheckpointDamagedError(f"{path} is damaged: {problem}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise CheckpointNewerError(
            f"{path} was written by a newer agent (schema {version}, this one knows {SCHEMA_VERSION})"
        )
    if version == 0:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    connection.executescript(_ADDED)
