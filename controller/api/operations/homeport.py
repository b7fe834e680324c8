"""Operations that ECS does not have, for our own command: service `homeport`, administrators only."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from controller.api.access_keys import ensure_agent_key
from controller.api.context import RequestContext
from controller.api.errors import ServerException
from controller.api.identifiers import resolve_cluster
from controller.api.paging import page
from controller.keyring import Keyring, WrongKey
from controller.state.entities import Document, QuarantinedTask
from controller.state.indexes import QUARANTINED_BY_CLUSTER


class GetIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class EnsureAgentAccessKey(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    cluster: str | None = None


class ListQuarantinedTasks(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    cluster: str | None = None
    next_token: str | None = None
    max_results: int | None = None


def get_identity(context: RequestContext, _request: GetIdentity) -> Document:
    """Who calls, and whom: what a client that knows address and key alone needs to know."""
    caller, names = context.caller, context.read.names
    return {
        "arn": caller.arn,
        "role": caller.role,
        "cluster": caller.cluster,
        "account": names.account,
        "region": names.region,
    }


FOR_EVERYONE: dict[str, tuple[type[msgspec.Struct], Any]] = {"GetIdentity": (GetIdentity, get_identity)}
"""Operations that every caller may call, with the record that their input is decoded into."""


class HomeportOperations:
    """The operations, with the keyring that some need."""

    def __init__(self, keyring: Keyring, source: random.Random) -> None:
        self._keyring = keyring
        self._source = source

    def ensure_agent_access_key(self, context: RequestContext, request: EnsureAgentAccessKey) -> Document:
        """The agent key of a cluster: the same one at each call."""
        cluster = resolve_cluster(context, request.cluster)
        try:
            with context.transaction() as transaction:
                pair = ensure_agent_key(transaction, self._keyring, self._source, cluster.name)
        except WrongKey as error:
            raise ServerException(f"{error}: put the secret.key of this store back.") from None
        return {
            "cluster": cluster.name,
            "accessKeyId": pair.access_key_id,
            "secretAccessKey": pair.secret_access_key,
        }

    def list_quarantined_tasks(self, context: RequestContext, request: ListQuarantinedTasks) -> Document:
        """Tasks that agents run and this controller does not know; it leaves them alone."""
        cluster = resolve_cluster(context, request.cluster)
        tasks = context.read.select(QUARANTINED_BY_CLUSTER, cluster.name)
        keys, token = page(
            tasks, request.next_token, request.max_results, default=100, maximum=100, operation="Quarantined"
        )
        answer: Document = {"quarantinedTasks": [self._render(context, tasks[key]) for key in keys]}
        if token:
            answer["nextToken"] = token
        return answer

    def _render(self, context: RequestContext, task: QuarantinedTask) -> Document:
        return {
            "taskArn": task.task_arn,
            "containerInstanceArn": context.read.names.instance_id(task.cluster, task.instance),
            "family": task.family,
            "version": task.version,
            "firstSeenAt": task.first_seen_at,
        }

    def typed(self) -> dict[str, tuple[type[msgspec.Struct], Any]]:
        """Every operation with the record that its input is decoded into."""
        return {
            "EnsureAgentAccessKey": (EnsureAgentAccessKey, self.ensure_agent_access_key),
            "ListQuarantinedTasks": (ListQuarantinedTasks, self.list_quarantined_tasks),
        }
