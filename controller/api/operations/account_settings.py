"""Account settings: put, put the default, delete, list."""

from __future__ import annotations

import re

from controller.api.account_settings import DEFINITIONS, IMPOSSIBLE, definition_of, effective_setting
from controller.api.context import Handler, RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import parse_arn
from controller.api.paging import page
from controller.state.entities import AccountSetting, Document, account_setting_key

PAGE_SIZE = 10

_PRINCIPAL = re.compile(r"root|(user|role)/[^\s:]{1,512}")
"""What an ARN of a principal ends in."""


def put_account_setting(context: RequestContext, request: Document) -> Document:
    """Set something for a principal: the caller, or whom the request names."""
    return _put(context, _principal(context, request), request)


def put_account_setting_default(context: RequestContext, request: Document) -> Document:
    """Set something for everybody who has no setting of their own."""
    return _put(context, context.read.names.root_user, request)


def delete_account_setting(context: RequestContext, request: Document) -> Document:
    """Take a principal's own setting back; the answer is what holds for the principal from then on."""
    principal, name = _principal(context, request), request["name"]
    with context.transaction() as transaction:
        transaction.delete(AccountSetting, account_setting_key(principal, name), "deleted")
    setting = effective_setting(context.read, principal, name)
    return {"setting": {**_render(setting), "principalArn": principal}}


def list_account_settings(context: RequestContext, request: Document) -> Document:
    """A principal's own settings, or with `effectiveSettings` every setting that holds for the principal."""
    if "value" in request and "name" not in request:
        raise InvalidParameterException("A name must be specified to filter by value.")
    principal = _principal(context, request)
    found = {
        setting.name: setting
        for setting in (effective_setting(context.read, principal, name) for name in DEFINITIONS)
        if (request.get("effectiveSettings") or _is_kept(context, setting, principal))
        and setting.name == request.get("name", setting.name)
        and setting.value == request.get("value", setting.value)
    }
    names, token = page(
        found,
        request.get("nextToken"),
        request.get("maxResults"),
        default=PAGE_SIZE,
        maximum=PAGE_SIZE,
        operation="ListAccountSettings",
    )
    answer: Document = {"settings": [_render(found[name]) for name in names]}
    if token:
        answer["nextToken"] = token
    return answer


def _put(context: RequestContext, principal: str, request: Document) -> Document:
    name, value = request["name"], request["value"]
    definition = definition_of(name)
    if not definition.changeable:
        raise InvalidParameterException(f"{name} is read-only: AWS manages it.")
    if value not in definition.values:
        raise InvalidParameterException(f"{name} should be one of [{','.join(definition.values)}]")
    if (name, value) in IMPOSSIBLE:
        raise InvalidParameterException(IMPOSSIBLE[name, value])
    setting = AccountSetting(principal=principal, name=name, value=value)
    with context.transaction() as transaction:
        transaction.put(setting, f"set to {value}")
    return {"setting": _render(setting)}


def _principal(context: RequestContext, request: Document) -> str:
    """ARN of the principal that a request names, or of its caller.

    Raises:
        InvalidParameterException: the ARN is not one of a user, a role or the root user of this account.
    """
    value: str | None = request.get("principalArn")
    if not value:
        return context.caller.arn
    arn = parse_arn(value)
    names = context.read.names
    if (arn.service, arn.account) != ("iam", names.account) or not _PRINCIPAL.fullmatch(arn.resource):
        raise InvalidParameterException(
            "The principalArn should be the ARN of a user, a role or the root user of this account."
        )
    return value


def _is_kept(context: RequestContext, setting: AccountSetting, principal: str) -> bool:
    return setting.principal == principal and context.read.get(AccountSetting, setting.key) is not None


def _render(setting: AccountSetting) -> Document:
    return {
        "name": setting.name,
        "value": setting.value,
        "principalArn": setting.principal,
        "type": "user" if definition_of(setting.name).changeable else "aws_managed",
    }


OPERATIONS: dict[str, Handler] = {
    "DeleteAccountSetting": delete_account_setting,
    "ListAccountSettings": list_account_settings,
    "PutAccountSetting": put_account_setting,
    "PutAccountSettingDefault": put_account_setting_default,
}
