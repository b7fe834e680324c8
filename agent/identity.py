"""Who this agent is to the controller, and which controller it follows: a small file of its own.

It is kept apart from the checkpoint, so that losing the one does not lose the other.
"""

import asyncio
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.host.machine import Ec2Instance
from agent.protocol.arn import last_segment

log = structlog.get_logger(__name__)

FILE_NAME = "identity.json"


class IdentityError(Exception):
    """The saved identity cannot be used; the message says what to do about it."""


class IdentityNotSavedError(Exception):
    """The identity could not be written: the disk is full, say. Nothing has changed."""


class IdentityTakenError(Exception):
    """Another machine lives under this identity. A new one is begun; the agent has to start anew with it."""


class Identity(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the file holds."""

    cluster: str
    """The cluster's name."""
    machine_id: str = ""
    """The machine that registered, to notice a data directory that was copied to another one."""
    boot_id: str = ""
    """The boot in which the controller last took this machine for that container instance."""
    data_dir: str = ""
    """Where this file was, to notice that it was copied on one machine."""
    owner: str = ""
    """What marks containers and the checkpoint as this identity's."""
    ec2: Ec2Instance | None = None
    """The EC2 instance that registered, for the same reason; None elsewhere."""
    container_instance_arn: str | None = None
    """None until the first registration has succeeded."""
    store_uuid: str | None = None
    """The controller's store that this agent follows; None until a controller has said which it is."""
    epoch: int = 0
    """The highest epoch heard from that store; whoever speaks with an older one has been superseded."""
    drained_on_exit: bool = False
    """This agent has set its container instance to DRAINING before it ended, and will undo that."""
    manifest_mark: int = -1
    """The highest ``timeline`` or ``seqNum`` seen; a manifest that is not above it is stale."""


class IdentityFile:
    """The current identity, and its copy on disk."""

    def __init__(self, data_dir: Path, identity: Identity) -> None:
        self._path = data_dir / FILE_NAME
        self._identity = identity
        self._writing = asyncio.Lock()

    @classmethod
    def load(cls, data_dir: Path, cluster: str, machine_id: str) -> "IdentityFile":
        """Read ``identity.json`` in ``data_dir``, or begin a new identity if there is none.

        An identity that another machine, or an agent in another directory, registered is not taken over:
        that one may still be running under it. Raises ``IdentityError`` if the file is unreadable or belongs
        to another cluster, ``IdentityNotSavedError`` if a new identity in its place cannot be written.
        """
        path = data_dir / FILE_NAME
        name = last_segment(cluster)
        try:
            identity = msgspec.json.decode(path.read_bytes(), type=Identity)
        except FileNotFoundError:
            return cls(data_dir, _new(data_dir, name, machine_id, _owner_of(data_dir)))
        except (OSError, msgspec.DecodeError) as error:
            raise IdentityError(f"{path} cannot be read: {error}") from error
        if identity.cluster != name:
            raise IdentityError(
                f"{path} belongs to a container instance of cluster {identity.cluster!r}, not {name!r}: "
                "use another data directory, or remove that file to join as a new container instance"
            )
        here = str(data_dir.resolve())
        if whose := _somebody_elses(identity, machine_id, here):
            log.warning("identity_not_taken_over", path=str(path), reason=whose)
            anew = cls(data_dir, _new(data_dir, name, machine_id, secrets.token_hex(8)))
            anew._write(anew.current)
            return anew
        owner = identity.owner or _owner_of(data_dir)
        known = msgspec.structs.replace(identity, machine_id=machine_id, data_dir=here, owner=owner)
        return cls(data_dir, known)

    @property
    def current(self) -> Identity:
        return self._identity

    async def update(self, **changes: Any) -> None:
        """Change members of the identity. Durable when it returns; others see it only then.

        Raises ``IdentityNotSavedError``.
        """
        async with self._writing:
            identity = msgspec.structs.replace(self._identity, **changes)
            if identity != self._identity:
                await asyncio.to_thread(self._write, identity)
                self._identity = identity

    async def begin_anew(self) -> None:
        """Become somebody new: the next start knows nothing of the container instance, the tasks and the
        containers of this identity, which are another machine's. Durable when it returns.

        Raises ``IdentityNotSavedError``.
        """
        await self.update(
            container_instance_arn=None,
            store_uuid=None,
            epoch=0,
            manifest_mark=-1,
            boot_id="",
            drained_on_exit=False,
            owner=secrets.token_hex(8),
        )

    def _write(self, identity: Identity) -> None:
        try:
            write_durably(self._path, msgspec.json.encode(identity))
        except OSError as error:
            raise IdentityNotSavedError(f"{self._path} cannot be written: {error}") from error


def _new(data_dir: Path, cluster: str, machine_id: str, owner: str) -> Identity:
    return Identity(cluster=cluster, machine_id=machine_id, data_dir=str(data_dir.resolve()), owner=owner)


def _owner_of(data_dir: Path) -> str:
    """The mark of the first identity of a directory: the containers are found even if the file is lost."""
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]


def _somebody_elses(identity: Identity, machine_id: str, here: str) -> str:
    """Why a saved identity is not this agent's; empty if it is. A directory that was moved stays its own."""
    if machine_id and identity.machine_id and identity.machine_id != machine_id:
        return f"another machine, {identity.machine_id}, registered it"
    if identity.data_dir not in ("", here) and (Path(identity.data_dir) / FILE_NAME).exists():
        return f"it is a copy of the one in {identity.data_dir}"
    return ""


def write_durably(path: Path, content: bytes) -> None:
    """Replace a private file as a whole: after a crash it has either its old content or the new."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
