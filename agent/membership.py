"""What joining with a token gave this machine: where its controller is, and credentials of its own.

A private file of its own beside the identity. An exchange is written down before it is made, so that one
whose answer was lost is repeated as the same, and not as another.
"""

import asyncio
from pathlib import Path

import msgspec

from agent.identity import write_durably
from agent.protocol.signing import Credentials

FILE_NAME = "membership.json"


class MembershipError(Exception):
    """The file cannot be read or written; the message says what to do."""


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials, and the controller that gave them. Its representation shows no secret."""

    token_id: str
    """The token that they were given for."""
    url: str
    cluster: str
    region: str
    fingerprint: str
    owner: str
    """The mark of the identity that joined: in a copy of the file they are another machine's."""
    access_key_id: str
    secret_access_key: str
    issued_at: float
    expires_at: float

    def __repr__(self) -> str:
        return f"Membership(url={self.url!r}, cluster={self.cluster!r}, access_key_id={self.access_key_id!r})"

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.access_key_id, self.secret_access_key)


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that was begun. Its representation shows no secret."""

    replaces: str
    """What is exchanged: the id of a token, or of the access key to renew."""
    exchange_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Pending(replaces={self.replaces!r}, exchange_id={self.exchange_id!r})"


class _Contents(msgspec.Struct, frozen=True):
    membership: Membership | None = None
    pending: Pending | None = None


class MembershipFile:
    """The file's contents, and their copy on disk."""

    def __init__(self, data_dir: Path, contents: _Contents) -> None:
        self._path = data_dir / FILE_NAME
        self._contents = contents

    @classmethod
    def load(cls, data_dir: Path) -> "MembershipFile":
        """Read the file in ``data_dir``; without one there is no membership. Raises ``MembershipError``."""
        path = data_dir / FILE_NAME
        try:
            return cls(data_dir, msgspec.json.decode(path.read_bytes(), type=_Contents))
        except FileNotFoundError:
            return cls(data_dir, _Contents())
        except (OSError, msgspec.DecodeError) as error:
            raise MembershipError(
                f"{path} cannot be read: {error}; remove it and join again with a token"
            ) from None

    @property
    def membership(self) -> Membership | None:
        return self._contents.membership

    @property
    def pending(self) -> Pending | None:
        return self._contents.pending

    async def begin(self, pending: Pending) -> None:
        """Write an exchange down. Durable when it returns. Raises ``MembershipError``."""
        await self._write(_Contents(self._contents.membership, pending))

    async def complete(self, membership: Membership) -> None:
        """Write down what an exchange gave. Durable when it returns. Raises ``MembershipError``."""
        await self._write(_Contents(membership))

    async def _write(self, contents: _Contents) -> None:
        try:
            await asyncio.to_thread(write_durably, self._path, msgspec.json.encode(contents))
        except OSError as error:
            raise MembershipError(f"{self._path} cannot be written: {error}") from error
        self._contents = contents
