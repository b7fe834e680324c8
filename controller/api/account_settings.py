"""Account settings: which there are, what they may be, and which value holds for whom."""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.errors import InvalidParameterException
from controller.services import log_mode
from controller.state.entities import AccountSetting, account_setting_key
from controller.state.kernel import Reader

_SWITCH = ("enabled", "disabled")


@dataclass(frozen=True)
class Definition:
    """One setting: its values, and the one that holds where nobody has set it."""

    values: tuple[str, ...]
    default: str
    changeable: bool = True


DEFINITIONS: dict[str, Definition] = {
    "awsvpcTrunking": Definition(_SWITCH, "disabled"),
    "containerInsights": Definition((*_SWITCH, "enhanced"), "disabled"),
    "containerInstanceLongArnFormat": Definition(_SWITCH, "enabled"),
    log_mode.SETTING: Definition(log_mode.MODES, log_mode.DEFAULT_MODE),
    "fargateEventWindows": Definition(_SWITCH, "disabled"),
    "fargateFIPSMode": Definition(_SWITCH, "disabled"),
    "fargateTaskRetirementWaitPeriod": Definition(("0", "7", "14"), "7"),
    "guardDutyActivate": Definition(("on", "off"), "off", changeable=False),
    "serviceLongArnFormat": Definition(_SWITCH, "enabled"),
    "tagResourceAuthorization": Definition(("on", "off"), "off"),
    "taskLongArnFormat": Definition(_SWITCH, "enabled"),
}
"""Every setting by name. Those of AWS's own infrastructure are kept and answered and change nothing here."""

IMPOSSIBLE: dict[tuple[str, str], str] = {
    (name, "disabled"): "You can no longer disable Long Arn settings"
    for name in ("containerInstanceLongArnFormat", "serviceLongArnFormat", "taskLongArnFormat")
}
"""Values that would change what this controller does, and cannot."""


def definition_of(name: str) -> Definition:
    """The definition of a setting.

    Raises:
        InvalidParameterException: there is no such setting.
    """
    definition = DEFINITIONS.get(name)
    if definition is None:
        raise InvalidParameterException(f"{name} should be one of [{','.join(DEFINITIONS)}]")
    return definition


def effective_setting(read: Reader, principal: str, name: str) -> AccountSetting:
    """The setting that holds for a principal: its own, else the root user's, else the default."""
    root = read.names.root_user
    for holder in (principal, root):
        setting = read.get(AccountSetting, account_setting_key(holder, name))
        if setting is not None:
            return setting
    return AccountSetting(principal=root, name=name, value=definition_of(name).default)
