"""Secrets at rest: the key file that encrypts them, and the client profile by which local commands find the
controller.

The key file is no part of the store, so that a copy of the store alone gives no secret away.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from controller.files import write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE = "secret.key"
KEY_BYTES = 32
NONCE_BYTES = 12
CLIENT_PROFILE_FILE = "client.json"
AUTHORITIES_FILE = "tls/ca.pem"
"""Certificates of the authorities that clients of the data directory trust; absent: those of the system."""


class KeyFileDamaged(ValueError):
    """The key file is damaged; its message says what to do."""


class WrongKey(ValueError):
    """A secret was not encrypted with this key file, or for this purpose."""


class Keyring:
    """Encrypts and decrypts with a data directory's key file. Its representation shows no key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, data_dir: Path, *, create: bool = False) -> Keyring:
        """The keyring of a data directory; `create` makes the key file if there is none.

        Raises:
            OSError: it is missing or cannot be read or made.
            KeyFileDamaged: it holds something else than a key.
        """
        path = data_dir / KEY_FILE
        if create and not path.exists():
            write_private(path, os.urandom(KEY_BYTES))
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise KeyFileDamaged(f"the key file {path} is damaged: put its backup back")
        return cls(key)

    def encrypt(self, secret: str, associated: str) -> str:
        """The secret, readable with this key and for this purpose only (`associated` is an access key id)."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, secret.encode(), associated.encode())
        return base64.b64encode(nonce + sealed).decode()

    def decrypt(self, ciphertext: str, associated: str) -> str:
        """The secret that `encrypt` took.

        Raises:
            WrongKey: it was encrypted with another key file, for another purpose, or is damaged.
        """
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(ciphertext, validate=True)
            return (
                self._cipher().decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], associated.encode()).decode()
            )
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise WrongKey(f"the secret of {associated} does not open with this key file") from error

    def derive(self, purpose: str) -> bytes:
        """Thirty-two bytes that only this key gives for this purpose, always the same."""
        return hmac.digest(self._key, purpose.encode(), "sha256")

    def _cipher(self) -> AESGCM:
        # Imported late: it is the slowest import of all, and most commands never need it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)


@dataclass(frozen=True)
class ClientProfile:
    """How a local client reaches the controller."""

    endpoint: str
    region: str
    account_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    ca_file: Path | None = None
    """Certificates of the authorities that vouch for the controller; None: those of the system."""


class _StoredProfile(msgspec.Struct, frozen=True, rename="camel"):
    endpoint: str
    region: str
    account_id: str
    access_key_id: str
    secret_ciphertext: str


def write_client_profile(data_dir: Path, keyring: Keyring, profile: ClientProfile) -> None:
    """Write `client.json`, whole and private, with its secret encrypted."""
    stored = _StoredProfile(
        profile.endpoint,
        profile.region,
        profile.account_id,
        profile.access_key_id,
        keyring.encrypt(profile.secret_access_key, profile.access_key_id),
    )
    write_private(
        data_dir / CLIENT_PROFILE_FILE, msgspec.json.format(msgspec.json.encode(stored), indent=2) + b"\n"
    )


def load_client_profile(data_dir: Path) -> ClientProfile:
    """The profile that the controller wrote at its last start.

    Raises:
        FileNotFoundError: no controller has run on the data directory.
        PermissionError: its files are another user's.
        ValueError: they are damaged, or do not belong together.
    """
    path = data_dir / CLIENT_PROFILE_FILE
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_StoredProfile)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    secret = Keyring.open(data_dir).decrypt(stored.secret_ciphertext, stored.access_key_id)
    authorities = data_dir / AUTHORITIES_FILE
    return ClientProfile(
        stored.endpoint,
        stored.region,
        stored.account_id,
        stored.access_key_id,
        secret,
        authorities if stored.endpoint.startswith("https:") and authorities.exists() else None,
    )
