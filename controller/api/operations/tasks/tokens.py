"""Idempotency of RunTask: the same client token and request give the same tasks."""

from __future__ import annotations

import hashlib
import re

import msgspec

from controller.api.context import RequestContext
from controller.api.errors import ConflictException, InvalidParameterException
from controller.api.operations.tasks.finding import find_task
from controller.api.render.task import render_task
from controller.state.entities import Document, RunTaskToken

_CLIENT_TOKEN = re.compile(r"[!-~]{1,64}")


def earlier_call(context: RequestContext, cluster: str, request: Document) -> RunTaskToken | None:
    """What an earlier call with this token did.

    Raises:
        ConflictException: that call asked for something else.
        InvalidParameterException: the token is too long or not ASCII.
    """
    token = request.get("clientToken")
    if not token:
        return None
    if not _CLIENT_TOKEN.fullmatch(token):
        raise InvalidParameterException("clientToken should be 1 to 64 characters between '!' and '~'.")
    earlier = context.read.get(RunTaskToken, f"{cluster}/{token}")
    if earlier is not None and earlier.fingerprint != fingerprint(request):
        raise ConflictException(
            "The client token was used before with other parameters.",
            [context.read.names.task_id(cluster, task_id) for task_id in earlier.tasks],
        )
    return earlier


async def answer_again(context: RequestContext, earlier: RunTaskToken) -> Document:
    """The answer to a repeated call: the tasks as they are now, and the failures as they were."""
    found = [await find_task(context, earlier.cluster, task_id) for task_id in earlier.tasks]
    return {
        "tasks": [render_task(task, context.read, with_tags=True) for task in found if task is not None],
        "failures": list(earlier.failures),
    }


def token_of(
    cluster: str, request: Document, task_ids: tuple[str, ...], failures: tuple[Document, ...], now: float
) -> RunTaskToken | None:
    """The record of a call that started tasks; None for a call without a token."""
    if not request.get("clientToken"):
        return None
    return RunTaskToken(
        cluster=cluster,
        token=request["clientToken"],
        fingerprint=fingerprint(request),
        tasks=task_ids,
        failures=failures,
        created_at=now,
    )


def fingerprint(request: Document) -> str:
    """Digest of a request without its token and without the cluster, of which tokens are part anyway."""
    same = {member: value for member, value in request.items() if member not in ("clientToken", "cluster")}
    return hashlib.sha256(msgspec.json.encode(same, order="sorted")).hexdigest()
