"""STS, as far as tools need it: Terraform and others ask who they are before anything else."""

from __future__ import annotations

import base64
import hashlib

from controller.api.context import Handler, RequestContext
from controller.state.entities import Document

USER_ID_CHARACTERS = 17


def get_caller_identity(context: RequestContext, _request: Document) -> Document:
    """Who signed the call: ARN, account, and an id of the user that no other user has."""
    return {
        "Arn": context.caller.arn,
        "UserId": _user_id(context.read.meta.store_uuid, context.caller.arn),
        "Account": context.read.names.account,
    }


def _user_id(store: str, arn: str) -> str:
    """An id in the form of IAM's; the same for all keys of a user, another one in another store."""
    digest = hashlib.sha256(f"{store}/{arn}".encode()).digest()
    return f"AIDA{base64.b32encode(digest)[:USER_ID_CHARACTERS].decode()}"


STS_OPERATIONS: dict[str, Handler] = {"GetCallerIdentity": get_caller_identity}
"""The operations of STS by name."""
