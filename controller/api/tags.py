"""Resource tags: ECS's rules beyond the model's, and both forms."""

from __future__ import annotations

from collections.abc import Iterable

from controller.api.errors import InvalidParameterException
from controller.state.entities import Document, Tag

RESERVED_PREFIX = "aws:"
MAX_TAGS = 50
"""Most tags of a resource, those with the reserved prefix not counted."""


def parse_tags(given: Iterable[Document] | None) -> tuple[Tag, ...]:
    """Tags of a request; lengths and characters were checked against the model.

    Raises:
        InvalidParameterException: a key twice, missing, or with the reserved prefix.
    """
    tags: dict[str, Tag] = {}
    for document in given or ():
        key = document.get("key")
        if key is None:
            raise InvalidParameterException("Tag keys can not be null.")
        if key.lower().startswith(RESERVED_PREFIX):
            raise InvalidParameterException(
                f"Tag keys can not start with the reserved prefix {RESERVED_PREFIX}: {key}"
            )
        if key in tags:
            raise InvalidParameterException(f"Duplicate tag keys are not allowed: {key}")
        tags[key] = Tag(key, document.get("value", ""))
    return tuple(tags.values())


def render_tags(tags: Iterable[Tag]) -> list[Document]:
    """Tags as the API shows them."""
    return [{"key": tag.key, "value": tag.value} for tag in tags]
