"""Calls of AWS's services with the operator's profile.

botocore is loaded at the first call: most controllers never make one, and it takes several times the memory
of what they do. Its calls wait in threads.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

log = structlog.get_logger(__name__)

DEFAULT_PROFILE = "default"
"""Stands for whatever the SDK finds by itself: its environment, the profile of this name, the machine's
role."""

TIMEOUT_S = 5.0
"""Seconds until a connection, and until the next piece of an answer."""

MAX_BODY_BYTES = 1024 * 1024
"""What is read of an object at most."""

ATTEMPTS = 3
THREADS = 4

_PASSING = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServiceError",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Errors of AWS after which the same call may succeed."""


class AwsCallFailed(Exception):
    """AWS, or the way to it, has refused a call. `again`: another attempt may help."""

    def __init__(self, code: str, message: str, *, again: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.again = again


class Aws:
    """Makes calls; one client a service and region."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aws")
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}

    async def call(self, service: str, region: str, operation: str, **members: Any) -> dict[str, Any]:
        """The answer to an operation, named as botocore names its methods; of an object, the first megabyte.

        Raises:
            AwsCallFailed: there is none.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: self._call(service, region, operation, members)
        )

    def close(self) -> None:
        """Make no more calls; those under way end by their time limits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call(self, service: str, region: str, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConfigNotFound,
            NoCredentialsError,
            PartialCredentialsError,
            ProfileNotFound,
        )

        try:
            answer: dict[str, Any] = getattr(self._client(service, region), operation)(**members)
            if "Body" in answer:
                answer["Body"] = answer["Body"].read(MAX_BODY_BYTES)
        except ClientError as error:
            told = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = told.get("Code", "Unknown")
            again = status >= 500 or code in _PASSING
            raise AwsCallFailed(code, told.get("Message", "no message"), again=again) from None
        except (ConfigNotFound, NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
            raise AwsCallFailed(type(error).__name__, str(error), again=False) from None
        except BotoCoreError as error:
            raise AwsCallFailed(type(error).__name__, str(error), again=True) from None
        return answer

    def _client(self, service: str, region: str) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        with self._lock:
            if self._session is None:
                self._session = Session(profile=None if self._profile == DEFAULT_PROFILE else self._profile)
            client = self._clients.get((service, region))
            if client is None:
                settings = Config(
                    connect_timeout=TIMEOUT_S,
                    read_timeout=TIMEOUT_S,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                )
                client = self._session.create_client(service, region_name=region, config=settings)
                self._clients[service, region] = client
                log.info("aws_client_made", service=service, region=region)
            return client
