"""STS, as far as tools need it: Terraform and others ask who they are before anything else."""

from __future__ import annotations

import base64
import hashlib

from controller.api.context import Handler, RequestContext
from controller.state.entities import Document

USER_ID_CHARACTERS = 17


def get_caller_identity(context: RequestContext, _request: Document) -> Document:
    """Who signed the call: ARN, account, and an id of the user, or of the role and the session in it."""
    caller, store = context.caller, context.read.meta.store_uuid
    if caller.role == "task":
        user_id = f"{_unique_id('AROA', store, f'role/{caller.task_role}')}:{caller.task}"
    else:
        user_id = _unique_id("AIDA", store, caller.arn)
    return {"Arn": caller.arn, "UserId": user_id, "Account": context.read.names.account}


def _unique_id(prefix: str, store: str, arn: str) -> str:
    """An id in the form of IAM's; the same for all keys of a user, another one in another store."""
    digest = hashlib.sha256(f"{store}/{arn}".encode()).digest()
    return f"{prefix}{base64.b32encode(digest)[:USER_ID_CHARACTERS].decode()}"


STS_OPERATIONS: dict[str, Handler] = {"GetCallerIdentity": get_caller_identity}
"""The operations of STS by name."""
