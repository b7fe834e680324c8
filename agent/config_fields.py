"""How a setting is declared: a field of a dataclass that knows where its value is read from."""

import dataclasses
from collections.abc import Callable
from typing import Any


def setting(
    default: Any, env: str, parse: Callable[[str], Any], *, flag: str | None = None, secret: bool = False
) -> Any:
    """A field with a default, its variable, the parser of its text, and its flag if it has one.

    A ``secret`` one shows in no representation.
    """
    return dataclasses.field(
        default=default, repr=not secret, metadata={"env": env, "parse": parse, "flag": flag}
    )
