"""The machine-readable model of a service, as botocore ships it: operations, shapes, limits.

Only what checks need is kept: documentation makes up nine tenths of the file. botocore itself is not
imported: its code takes several times the memory of the model.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import msgspec


class ModelMissing(Exception):
    """No model of the service is installed."""


class Reference(msgspec.Struct, frozen=True, gc=False):
    """The use of a shape by another one."""

    shape: str


class Shape(msgspec.Struct, frozen=True, gc=False):
    """What a value must look like."""

    type: str
    required: tuple[str, ...] = ()
    members: dict[str, Reference] = {}
    member: Reference | None = None
    """Items of a list."""
    key: Reference | None = None
    value: Reference | None = None
    """Keys and values of a map."""
    enum: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    union: bool = False
    document: bool = False
    """Any JSON; kept as it is."""


class OperationModel(msgspec.Struct, frozen=True, gc=False):
    """An operation: the shapes of its input and output."""

    name: str
    input: Reference | None = None
    output: Reference | None = None


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How the service is called."""

    endpoint_prefix: str
    target_prefix: str = ""
    signing_name: str = ""


class ServiceModel(msgspec.Struct, frozen=True, gc=False):
    """A service: its operations and shapes by name."""

    metadata: Metadata
    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]


def load_service_model(service: str) -> ServiceModel:
    """The newest installed model of a service, by botocore's name of it.

    Raises:
        ModelMissing: botocore or the service in it is missing.
    """
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing("botocore is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data" / service
    # Folders are named by API version, which is a date.
    for version in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        packed = version / "service-2.json.gz"
        if packed.exists():
            return _decode(gzip.decompress(packed.read_bytes()))
        plain = version / "service-2.json"
        if plain.exists():
            return _decode(plain.read_bytes())
    raise ModelMissing(f"botocore has no model of {service!r}")


def _decode(data: bytes) -> ServiceModel:
    return msgspec.json.decode(data, type=ServiceModel)
