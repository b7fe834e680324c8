"""AWS's wire protocols: where a call names its operation, and how answers and errors are written.

The signing name chooses the service and with it the protocol. What fails before the service is known is
answered in the protocol that the content type speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

from controller.api.errors import ApiError, UnknownOperationException

JSON_CONTENT_TYPE = "application/x-amz-json-1.1"
FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
STS_VERSION = "2011-06-15"
STS_NAMESPACE = f"https://sts.amazonaws.com/doc/{STS_VERSION}/"
NO_VERSION = "NO_VERSION_SPECIFIED"

_QUERY_CODES = {
    "AccessDeniedException": "AccessDenied",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "ServerException": "InternalFailure",
    "ThrottlingException": "Throttling",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
}
"""What errors of every service are called in the query protocol, where that is not their name in JSON."""


_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML has no way to write; clients' own text comes back in messages."""


class Written(msgspec.Struct, frozen=True):
    """An answer or an error, ready to be sent."""

    content_type: str
    body: bytes
    headers: dict[str, str] = {}


class WireProtocol(Protocol):
    """One of AWS's protocols, as a service speaks it."""

    def operation_name(self, headers: Mapping[str, str], body: bytes) -> str:
        """Name of the operation that a call asks for.

        Raises:
            ApiError: the call names none, or none of this service.
        """

    def unknown(self, name: str) -> ApiError:
        """The error for an operation that the service does not have."""

    def write(self, request_id: str, operation: str, answer: Any) -> Written:
        """An answer."""

    def write_error(self, request_id: str, error: ApiError) -> Written:
        """An error."""


class MissingAction(ApiError):
    """A call of the query protocol that names no operation."""

    def __init__(self, message: str = "Missing Action") -> None:
        super().__init__(message)


class JsonProtocol:
    """JSON 1.1: the operation is in the X-Amz-Target header, bodies are JSON objects."""

    def __init__(self, signing_name: str, target_prefix: str) -> None:
        self._signing_name = signing_name
        self._target_prefix = target_prefix

    def operation_name(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002
        """What follows the service's prefix in the target."""
        target = headers.get("X-Amz-Target", "")
        if not target:
            raise UnknownOperationException(
                "The X-Amz-Target header is missing: this endpoint speaks AWS JSON 1.1."
            )
        prefix, _, name = target.partition(".")
        if prefix != self._target_prefix:
            raise self.unknown(target)
        return name

    def unknown(self, name: str) -> ApiError:
        """UnknownOperationException."""
        return UnknownOperationException(
            f"{name[:128]!r} is not an operation of the service {self._signing_name}."
        )

    def write(self, request_id: str, operation: str, answer: Any) -> Written:  # noqa: ARG002
        """The answer as JSON."""
        return Written(JSON_CONTENT_TYPE, msgspec.json.encode(answer))

    def write_error(self, request_id: str, error: ApiError) -> Written:  # noqa: ARG002
        """The code as `__type` and in a header: clients differ in where they look."""
        body = msgspec.json.encode({"__type": error.code, "message": error.message, **error.extra})
        return Written(JSON_CONTENT_TYPE, body, {"x-amzn-ErrorType": error.code})


class QueryProtocol:
    """Query: the operation is the form's Action, answers are XML."""

    def __init__(self, namespace: str, version: str) -> None:
        self._namespace = namespace
        self._version = version

    def operation_name(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002
        """The form's Action, in the version that the service has."""
        form = read_form(body)
        name = form.get("Action")
        if not name:
            raise MissingAction
        if form.get("Version") != self._version:
            raise _no_action(name, form.get("Version") or NO_VERSION)
        return name

    def unknown(self, name: str) -> ApiError:
        """InvalidAction."""
        return _no_action(name, self._version)

    def write(self, request_id: str, operation: str, answer: Any) -> Written:
        """The answer's members as elements of its result."""
        root = Element(f"{operation}Response", xmlns=self._namespace)
        result = SubElement(root, f"{operation}Result")
        for member, value in answer.items():
            SubElement(result, member).text = value
        SubElement(SubElement(root, "ResponseMetadata"), "RequestId").text = request_id
        return _xml(root)

    def write_error(self, request_id: str, error: ApiError) -> Written:
        """An ErrorResponse, with the code that this protocol has for the error."""
        root = Element("ErrorResponse", xmlns=self._namespace)
        described = SubElement(root, "Error")
        SubElement(described, "Type").text = "Sender" if error.status < 500 else "Receiver"
        SubElement(described, "Code").text = _QUERY_CODES.get(error.code, error.code)
        SubElement(described, "Message").text = _NOT_IN_XML.sub("?", error.message)
        SubElement(root, "RequestId").text = request_id
        return _xml(root)


def protocol_of(content_type: str) -> WireProtocol:
    """The protocol for what fails before the service is known."""
    if content_type == FORM_CONTENT_TYPE:
        return QueryProtocol(STS_NAMESPACE, STS_VERSION)
    return JsonProtocol("", "")


def read_form(body: bytes) -> dict[str, str]:
    """A form-encoded body; of a member given twice the last one counts."""
    return dict(parse_qsl(body.decode("utf-8", errors="replace")))


def _no_action(name: str, version: str) -> ApiError:
    return UnknownOperationException(f"Could not find operation {name[:128]} for version {version[:32]}")


def _xml(root: Element) -> Written:
    return Written("text/xml", tostring(root, encoding="utf-8"))
