"""Who this agent is to the controller, and which controller it follows: a small file of its own.

It is kept apart from the checkpoint, so that losing the one does not lose the other.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

from agent.host.machine import Ec2Instance
from agent.protocol.arn import last_segment

FILE_NAME = "identity.json"


class IdentityError(Exception):
    """The saved identity cannot be used; the message says what to do about it."""


class Identity(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the file holds."""

    cluster: str
    """The cluster's name."""
    machine_id: str = ""
    """The machine that registered, to notice a data directory that was copied to another one."""
    ec2: Ec2Instance | None = None
    """The EC2 instance that registered, for the same reason; None elsewhere."""
    container_instance_arn: str | None = None
    """None until the first registration has succeeded."""
    store_uuid: str | None = None
    """The controller's store that this agent follows; None until a controller has said which it is."""
    epoch: int = 0
    """The highest epoch heard from that store; whoever speaks with an older one has been superseded."""
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

        An identity that another machine registered is not taken over: that machine may still be running
        under it. Raises ``IdentityError`` if the file is unreadable or belongs to another cluster.
        """
        path = data_dir / FILE_NAME
        name = last_segment(cluster)
        try:
            identity = msgspec.json.decode(path.read_bytes(), type=Identity)
        except FileNotFoundError:
            return cls(data_dir, Identity(cluster=name, machine_id=machine_id))
        except (OSError, msgspec.DecodeError) as error:
            raise IdentityError(f"{path} cannot be read: {error}") from error
        if identity.cluster != name:
            raise IdentityError(
                f"{path} belongs to a container instance of cluster {identity.cluster!r}, not {name!r}: "
                "use another data directory, or remove that file to join as a new container instance"
            )
        if machine_id and identity.machine_id and identity.machine_id != machine_id:
            return cls(data_dir, Identity(cluster=name, machine_id=machine_id))
        return cls(data_dir, msgspec.structs.replace(identity, machine_id=machine_id))

    @property
    def current(self) -> Identity:
        return self._identity

    async def update(self, **changes: Any) -> None:
        """Change members of the identity. Durable when it returns; others see it only then."""
        async with self._writing:
            identity = msgspec.structs.replace(self._identity, **changes)
            if identity != self._identity:
                await asyncio.to_thread(_write_durably, self._path, msgspec.json.encode(identity))
                self._identity = identity


def _write_durably(path: Path, content: bytes) -> None:
    """Replace a file as a whole: after a crash it has either its old content or the new."""
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
