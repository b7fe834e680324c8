"""How containers' log drivers take messages when a task definition does not say: the account setting
defaultLogDriverMode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.state.entities import AccountSetting, account_setting_key

if TYPE_CHECKING:
    from controller.state.kernel import Reader

SETTING = "defaultLogDriverMode"
MODES = ("blocking", "non-blocking")
DEFAULT_MODE = "non-blocking"
"""ECS's since June 2025: a log driver that hangs loses messages instead of stopping the application."""


def default_log_mode(read: Reader, principal: str) -> str:
    """The mode for tasks that a principal launches, or whose service it created: its own setting, else the
    root user's, else ECS's."""
    for holder in (principal, read.names.root_user):
        setting = read.get(AccountSetting, account_setting_key(holder, SETTING))
        if setting is not None:
            return setting.value
    return DEFAULT_MODE
