"""From a signed service name and what a call names to the operation that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ApiError,
    InvalidParameterException,
    SerializationException,
    UnsupportedFeatureException,
)
from controller.api.identifiers import cluster_name
from controller.api.operations.aws_only import REFUSED
from controller.api.operations.tags import cluster_of_resource
from controller.api.protocols import (
    STS_NAMESPACE,
    STS_VERSION,
    JsonProtocol,
    QueryProtocol,
    WireProtocol,
    read_form,
)
from controller.api.service_model import ServiceModel
from controller.api.validation import InputValidator, parse_body
from controller.state.entities import Document

TypedOperations = Mapping[str, tuple[type[msgspec.Struct], Any]]

HOMEPORT_TARGET_PREFIX = "HomeportV1"


@dataclass(frozen=True)
class Operation:
    """One operation: how its body is read, which cluster it concerns, and what answers."""

    name: str
    decode: Callable[[bytes], Any]
    cluster_of: Callable[[RequestContext, Any], str | None]
    handler: Handler
    for_everyone: bool = False
    """Whether every caller may call it, whatever their role."""


@dataclass(frozen=True)
class Service:
    """What one signing name offers."""

    signing_name: str
    protocol: WireProtocol
    operations: Mapping[str, Operation]
    modelled: frozenset[str]
    """Every operation of the service, those included that this controller does not have."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Operations that this controller never will have, with what to use instead."""

    def operation(self, headers: Mapping[str, str], body: bytes) -> Operation:
        """The operation that a call names, in the way of the service's protocol.

        Raises:
            UnknownOperationException: the service has none of this name.
            UnsupportedFeatureException: it has, but this controller does not.
            MissingAction: the call names none.
        """
        name = self.protocol.operation_name(headers, body)
        if name not in self.modelled:
            raise self.protocol.unknown(name)
        operation = self.operations.get(name)
        if operation is None:
            alternative = f": {self.refused[name]}" if name in self.refused else ""
            raise UnsupportedFeatureException(f"{name} is not available on this controller{alternative}.")
        return operation


def ecs_service(model: ServiceModel, handlers: Mapping[str, Handler], typed: TypedOperations) -> Service:
    """ECS: `handlers` take input checked against the model, `typed` ones a record of their own."""
    validator = InputValidator(model)
    operations = {
        name: Operation(name, _checked(validator, model, name), _cluster_of(name), handler)
        for name, handler in handlers.items()
    }
    # A report that cannot be read must be dropped, not repeated for ever: see operations.submissions.
    operations |= _typed(typed, InvalidParameterException)
    metadata = model.metadata
    signing_name = metadata.signing_name or metadata.endpoint_prefix
    protocol = JsonProtocol(signing_name, metadata.target_prefix)
    return Service(signing_name, protocol, operations, frozenset(model.operations), REFUSED)


def homeport_service(typed: TypedOperations, for_everyone: TypedOperations | None = None) -> Service:
    """Our own service. What is `for_everyone` may be called whatever the caller's role."""
    operations = _typed(typed, SerializationException)
    open_to_all = _typed(for_everyone or {}, SerializationException)
    operations |= {name: replace(operation, for_everyone=True) for name, operation in open_to_all.items()}
    protocol = JsonProtocol("homeport", HOMEPORT_TARGET_PREFIX)
    return Service("homeport", protocol, operations, frozenset(operations))


def sts_service(handlers: Mapping[str, Handler]) -> Service:
    """STS, which speaks the query protocol. Anybody may ask who they are."""
    operations = {
        name: Operation(name, read_form, lambda _context, _request: None, handler, for_everyone=True)
        for name, handler in handlers.items()
    }
    return Service("sts", QueryProtocol(STS_NAMESPACE, STS_VERSION), operations, frozenset(operations))


def _checked(validator: InputValidator, model: ServiceModel, name: str) -> Callable[[bytes], Document]:
    shape = model.operations[name].input
    assert shape is not None  # every operation of a JSON service has an input shape
    return lambda body: validator.check(shape.shape, parse_body(body))


def _typed(typed: TypedOperations, misfit: type[ApiError]) -> dict[str, Operation]:
    return {
        name: Operation(name, _decoder(record, misfit), _cluster_of_record, handler)
        for name, (record, handler) in typed.items()
    }


def _decoder(record: type[msgspec.Struct], misfit: type[ApiError]) -> Callable[[bytes], msgspec.Struct]:
    decoder = msgspec.json.Decoder(record)

    def decode(body: bytes) -> msgspec.Struct:
        try:
            return decoder.decode(body or b"{}")
        except msgspec.ValidationError as error:
            raise misfit(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SerializationException(f"The request body is not valid JSON: {error}") from None

    return decode


def _cluster_of(operation: str) -> Callable[[RequestContext, Document], str | None]:
    if operation == "ListTagsForResource":
        return lambda _, request: cluster_of_resource(request["resourceArn"])
    member = "clusterName" if operation == "CreateCluster" else "cluster"
    return lambda context, request: cluster_name(context, request.get(member))


def _cluster_of_record(context: RequestContext, request: Any) -> str | None:
    return cluster_name(context, request.cluster)
