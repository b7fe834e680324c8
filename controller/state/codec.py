"""Records to stored bodies and back.

A body is `[codec_version, {fields}]`. Fields are added with defaults, so that older bodies still decode; any
other change raises the kind's codec version and comes with a migration. A body of a newer version is refused:
this program would lose what it does not know.
"""

from __future__ import annotations

from sys import intern

import msgspec
from msgspec.structs import force_setattr

from controller.state.entities import KINDS, Deployment, Entity, Task
from controller.state.store.interface import StoreCorrupt, StoredRecord, StoreTooNew

_ENCODER = msgspec.json.Encoder()
_ENVELOPE = msgspec.json.Decoder(tuple[int, msgspec.Raw])
_KINDS: dict[str, type[Entity]] = {kind.kind: kind for kind in KINDS if kind.durable}
_DECODERS: dict[str, msgspec.json.Decoder[Entity]] = {
    name: msgspec.json.Decoder(kind) for name, kind in _KINDS.items()
}

_SHARED_FIELDS = (
    "cluster",
    "family",
    "instance",
    "group",
    "started_by",
    "service",
    "deployment",
    "stopped_reason",
    "log_mode",
)
"""Task fields whose values many tasks share: interned, since 100,000 tasks would otherwise hold 100,000
copies of each."""


def encode(entity: Entity) -> str:
    """The stored body of a record."""
    return _ENCODER.encode((entity.codec_version, entity)).decode()


def decode(record: StoredRecord) -> Entity:
    """The record of a stored body.

    Raises:
        StoreTooNew: the kind or the body's version is not known here.
        StoreCorrupt: the body is not what this or an older version writes.
    """
    if record.kind not in _KINDS or record.body is None:
        raise StoreTooNew(
            f"the store holds records of kind {record.kind!r}, which this version does not know"
        )
    try:
        version, raw = _ENVELOPE.decode(record.body)
        if version > _KINDS[record.kind].codec_version:
            raise StoreTooNew(
                f"the store holds {record.kind} records of form {version}, newer than this version's"
            )
        entity = _DECODERS[record.kind].decode(raw)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"the body of {record.kind} {record.key!r} cannot be read: {error}") from error
    if isinstance(entity, Task):
        _intern(entity)
    return entity


def _intern(task: Task) -> None:
    for field in _SHARED_FIELDS:
        value = getattr(task, field)
        if value is not None:
            force_setattr(task, field, intern(value))


def decode_task(body: str) -> Task:
    """A task from the history. Raises as `decode` does."""
    entity = decode(StoredRecord(Task.kind, "", 0, body))
    if not isinstance(entity, Task):
        raise StoreCorrupt("a history entry of a task holds something else")
    return entity


def decode_deployment(body: str) -> Deployment:
    """A deployment from the history. Raises as `decode` does."""
    entity = decode(StoredRecord(Deployment.kind, "", 0, body))
    if not isinstance(entity, Deployment):
        raise StoreCorrupt("a history entry of a deployment holds something else")
    return entity
