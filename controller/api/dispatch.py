"""From a signed service name and an X-Amz-Target to the operation that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from controller.api.context import Handler, RequestContext
from controller.api.errors import (
    ApiError,
    InvalidParameterException,
    SerializationException,
    UnknownOperationException,
    UnsupportedFeatureException,
)
from controller.api.identifiers import cluster_name
from controller.api.operations.tags import cluster_of_resource
from controller.api.service_model import ServiceModel
from controller.api.validation import InputValidator, parse_body
from controller.state.entities import Document

TypedOperations = Mapping[str, tuple[type[msgspec.Struct], Any]]

HOMEPORT_TARGET_PREFIX = "HomeportV1"

_ALTERNATIVES = {
    "Daemon": "Managed daemons run on AWS's own instances; use a service with schedulingStrategy DAEMON.",
    "Gateway": "Gateways are resources of AWS's own network; put a load balancer in front of the services.",
}
"""Operations that never will be here, by a part of their names, and what to use instead."""


@dataclass(frozen=True)
class Operation:
    """One operation: how its body is read, which cluster it concerns, and what answers."""

    name: str
    decode: Callable[[bytes], Any]
    cluster_of: Callable[[RequestContext, Any], str | None]
    handler: Handler


@dataclass(frozen=True)
class Service:
    """What one signing name offers."""

    signing_name: str
    target_prefix: str
    operations: Mapping[str, Operation]
    modelled: frozenset[str]
    """Every operation of the service, those included that this controller does not have."""

    def operation(self, target: str) -> Operation:
        """The operation that an X-Amz-Target names.

        Raises:
            UnknownOperationException: the service has none of this name.
            UnsupportedFeatureException: it has, but this controller does not.
        """
        prefix, _, name = target.partition(".")
        if prefix != self.target_prefix or name not in self.modelled:
            raise UnknownOperationException(
                f"{target[:128]!r} is not an operation of the service {self.signing_name}."
                if target
                else "The X-Amz-Target header is missing: this endpoint speaks AWS JSON 1.1."
            )
        operation = self.operations.get(name)
        if operation is None:
            alternative = next((text for part, text in _ALTERNATIVES.items() if part in name), "")
            raise UnsupportedFeatureException(
                f"{name} is not available on this controller. {alternative}".rstrip()
            )
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
    return Service(
        metadata.signing_name or metadata.endpoint_prefix,
        metadata.target_prefix,
        operations,
        frozenset(model.operations),
    )


def homeport_service(typed: TypedOperations) -> Service:
    """Our own service."""
    operations = _typed(typed, SerializationException)
    return Service("homeport", HOMEPORT_TARGET_PREFIX, operations, frozenset(operations))


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
