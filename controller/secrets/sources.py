"""Where values come from: a seam between what is asked and who is asked."""

from __future__ import annotations

from typing import Protocol

import msgspec

from controller.secrets.references import Reference


class ValueNotAvailable(Exception):
    """A value cannot be had; the message names no value. `again`: another attempt may help."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class RegistryLogin(msgspec.Struct, frozen=True):
    """Whom to pull an image as. Its representation shows neither."""

    username: str
    password: str
    expires_at: float | None = None
    """Epoch seconds; None if it does not expire."""

    def __repr__(self) -> str:
        return "RegistryLogin(***)"


class ValueSource(Protocol):
    """AWS, or what stands in for it."""

    async def parameter(self, reference: Reference) -> str:
        """The value of a parameter. Raises `ValueNotAvailable`."""
        ...

    async def secret(self, reference: Reference) -> str:
        """The text of a secret's version, without regard to a JSON key. Raises `ValueNotAvailable`."""
        ...

    async def object(self, reference: Reference) -> str:
        """The text of an object. Raises `ValueNotAvailable`."""
        ...

    async def ecr_login(self, registry_id: str, region: str) -> RegistryLogin:
        """A login for a registry of ECR. Raises `ValueNotAvailable`."""
        ...
