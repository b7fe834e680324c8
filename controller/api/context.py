"""What a handler gets beside its input."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from agent.protocol.clock import Clock
from controller.config import ControllerConfig
from controller.state.changes import Cause
from controller.state.entities import Document, Role
from controller.state.kernel import Reader, State, Transaction

_FIRST_DEPLOYMENT_NUMBER = 10**18
_LAST_DEPLOYMENT_NUMBER = 2**63 - 1


class Caller(msgspec.Struct, frozen=True):
    """Who signed the request."""

    arn: str
    access_key_id: str
    role: Role | Literal["task"]
    """`task`: the credentials of a task's role."""
    cluster: str | None = None
    """The only cluster that an agent key or a task may act in; None for administrators."""
    task: str = ""
    """Id of the task, if it is one that calls."""
    task_role: str = ""
    """Name of the role whose credentials it uses."""
    instance: str = ""
    """Id of the container instance for which alone an agent may act; empty: for all of its cluster."""


class IdSource:
    """Makes ids from the randomness that it is given."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def hex32(self) -> str:
        """Id of a task or container instance: 32 lower-case hexadecimal digits."""
        return f"{self._source.getrandbits(128):032x}"

    def uuid(self) -> str:
        """Id of a container, an attachment or a request."""
        return str(uuid.UUID(int=self._source.getrandbits(128), version=4))

    def deployment_id(self) -> str:
        """Id of a deployment: `ecs-svc/` and 19 digits."""
        return f"ecs-svc/{self._source.randint(_FIRST_DEPLOYMENT_NUMBER, _LAST_DEPLOYMENT_NUMBER)}"


@dataclass(slots=True)
class RequestContext:
    """One request: who asks, what may be read and written, and how time and ids are made."""

    request_id: str
    caller: Caller
    state: State
    clock: Clock
    ids: IdSource
    config: ControllerConfig
    base_url: str
    """Scheme and host that the client used, no slash at the end; agents are told to connect to it."""
    signs_of_life: Callable[[str, str], None]
    """Told the cluster and id of a container instance whose agent called."""
    read: Reader = field(init=False)
    """The reader of the whole request; what it touches is durable before the answer leaves."""
    _written: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.read = self.state.read()

    @property
    def touched(self) -> int:
        """Number of the newest record that this request read or wrote."""
        return max(self.read.touched, self._written)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction caused by this request. It holds no await, and the answer waits for its flush."""
        transaction = self.state.transaction(
            Cause(kind="request", id=self.request_id, caller=self.caller.arn)
        )
        try:
            with transaction:
                yield transaction
        finally:
            self._written = max(self._written, transaction.touched)


Handler = Callable[[RequestContext, Document], Document | Awaitable[Document]]
"""An operation: takes input that is checked already, answers a plain mapping, raises `ApiError`."""
