"""Who the agent is towards a registry."""

import msgspec


class RegistryCredentials(msgspec.Struct, frozen=True, gc=False):
    """A name and a password for one pull. Neither is ever written to disk, logged or shown."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "RegistryCredentials(***)"
