"""References that must name a revision."""

from __future__ import annotations

from controller.api.errors import ClientException


def check_revision_named(reference: str) -> None:
    """A reference names one revision: `family:revision` or an ARN with it.

    Raises:
        ClientException: it names a family alone.
    """
    if ":" not in reference.rpartition("/")[2]:
        raise ClientException("Revision is missing.")
