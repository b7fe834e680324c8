"""Credentials of tasks' roles for those who know their id: what AWS's SDKs ask for in a container."""

from typing import Any

import structlog
from aiohttp import web

from agent.endpoints.answers import json_answer
from agent.engine.role_credentials import RoleCredentials

log = structlog.get_logger(__name__)


def credentials_routes(credentials: RoleCredentials) -> list[web.RouteDef]:
    """``/v2/credentials/<id>``, and ``/v1/credentials?id=<id>`` of old SDKs."""

    async def by_path(request: web.Request) -> web.Response:
        return json_answer(*answer(credentials, request.match_info["id"], version=2))

    async def by_query(request: web.Request) -> web.Response:
        return json_answer(*answer(credentials, request.query.get("id", ""), version=1))

    return [
        web.get("/v2/credentials/{id:[^/]*}", by_path),
        web.get("/v1/credentials", by_query),
    ]


def answer(credentials: RoleCredentials, credentials_id: str, version: int) -> tuple[dict[str, Any], int]:
    """Body and status. Who asks for credentials is logged, the credentials never are."""
    if not credentials_id:
        return _refusal(400, "NoIdInRequest", version, "No Credential ID in the request")
    if credentials.awaits(credentials_id):
        return _refusal(503, "CredentialsUninitialized", version, "Credentials uninitialized for ID")
    held = credentials.find(credentials_id)
    if held is None:
        return _refusal(400, "InvalidIdInRequest", version, "Credentials not found")
    log.info("credentials_given", task=held.task_arn, role_type=held.role_type)
    found = held.credentials
    body = {
        "RoleArn": found.role_arn or "",
        "AccessKeyId": found.access_key_id or "",
        "SecretAccessKey": found.secret_access_key or "",
        "Token": found.session_token or "",
        "Expiration": found.expiration or "",
    }
    return body, 200


def _refusal(status: int, code: str, version: int, message: str) -> tuple[dict[str, Any], int]:
    log.info("credentials_refused", code=code)
    text = f"CredentialsV{version}Request: {message}"
    return {"code": code, "message": text, "HTTPErrorCode": status}, status
