"""A small synchronous client for the controller: AWS JSON 1.1, signed by our own signer, paged, batched."""

import http.client
import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from agent.protocol.clock import Clock, SystemClock
from agent.protocol.signing import Credentials, sign
from controller.cli.errors import CommandFailed
from controller.keyring import ClientProfile

ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
HOMEPORT_TARGET = "HomeportV1"
_TIMEOUT_S = 30.0

Answer = dict[str, Any]


class ApiError(CommandFailed):
    """The controller refused the call; `code` is the name of ECS's exception."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation} was refused with {code}: {message}")
        self.code = code


class Client:
    """Calls operations of one controller."""

    def __init__(self, profile: ClientProfile, clock: Clock | None = None) -> None:
        self.endpoint = profile.endpoint.rstrip("/")
        self._region = profile.region
        self._credentials = Credentials(profile.access_key_id, profile.secret_access_key)
        self._ca_file = profile.ca_file
        self._clock = clock or SystemClock()

    def ecs(self, operation: str, **members: Any) -> Answer:
        """Call an operation of ECS's API. Raises `ApiError`, or `CommandFailed` if nobody answers."""
        return self._call(ECS_TARGET, "ecs", operation, members)

    def homeport(self, operation: str, **members: Any) -> Answer:
        """Call an operation that the controller has beyond ECS's. Raises like `ecs`."""
        return self._call(HOMEPORT_TARGET, "homeport", operation, members)

    def list_all(self, operation: str, result: str, **members: Any) -> Iterator[str]:
        """Every item of a List operation, page after page; `result` names the list in the answer."""
        token = None
        while True:
            page = self.ecs(operation, maxResults=100, **members, **({"nextToken": token} if token else {}))
            yield from page[result]
            token = page.get("nextToken")
            if not token:
                return

    def describe_all(
        self, operation: str, member: str, result: str, arns: Sequence[str], batch: int, **members: Any
    ) -> list[Answer]:
        """Describe any number of things, `batch` at a time, as the operation's limit asks."""
        found: list[Answer] = []
        remaining = iter(arns)
        while chunk := list(islice(remaining, batch)):
            found += self.ecs(operation, **{member: chunk}, **members)[result]
        return found

    def stream(self, path: str) -> Iterator[bytes]:
        """The lines of an answer that goes on until either side ends it; empty ones are left out. Raises
        `CommandFailed` if the controller refuses, does not answer, or falls silent.
        """
        url = self.endpoint + path
        headers = sign(
            method="GET",
            url=url,
            headers={},
            body=b"",
            credentials=self._credentials,
            service="homeport",
            region=self._region,
            now=self._clock.now(),
        )
        with self._connected() as connection:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise self._refusal(path, response.status, self._decode(response.read()))
            while line := response.readline():
                if line.strip():
                    yield line

    def _call(self, target: str, service: str, operation: str, members: Answer) -> Answer:
        body = json.dumps(members).encode()
        url = self.endpoint + "/"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{target}.{operation}"}
        headers |= sign(
            method="POST",
            url=url,
            headers=headers,
            body=body,
            credentials=self._credentials,
            service=service,
            region=self._region,
            now=self._clock.now(),
        )
        status, answer = self._post(headers, body)
        content = self._decode(answer)
        if status != 200:
            raise self._refusal(operation, status, content)
        return content

    @staticmethod
    def _refusal(operation: str, status: int, content: Answer) -> ApiError:
        code = str(content.get("__type", f"HTTP {status}")).rpartition("#")[2]
        return ApiError(
            operation, code, str(content.get("message") or content.get("Message") or "no message")
        )

    def _post(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        with self._connected() as connection:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to the controller; what fails on it is a `CommandFailed`."""
        parts = urlsplit(self.endpoint)
        connection = (
            http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT_S, context=self._trust())
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_S)
        )
        try:
            yield connection
        except ssl.SSLCertVerificationError as error:
            raise CommandFailed(
                f"what answers at {self.endpoint} cannot prove to be the controller: {error.verify_message}",
                "look whether the address is right; if the controller got a new authority, log in again with "
                "'homeport login'",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(
                f"no controller answers at {self.endpoint}: {error or type(error).__name__}",
                "start it with 'homeport up', or look at its log if it should be running",
            ) from None
        finally:
            connection.close()

    def _trust(self) -> ssl.SSLContext:
        """What must vouch for the controller. Raises `CommandFailed` if the file with it cannot be used."""
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            raise CommandFailed(
                f"{self._ca_file} cannot be used: {error.strerror or error}",
                "start the controller again, or log in again: both write it anew",
            ) from None

    def _decode(self, answer: bytes) -> Answer:
        try:
            content = json.loads(answer) if answer else {}
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise CommandFailed(
                f"what answers at {self.endpoint} is not a Homeport controller",
                "look at what else listens there, or start the controller elsewhere with --listen",
            )
        return content
