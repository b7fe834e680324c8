"""PutAccountSetting, PutAccountSettingDefault, DeleteAccountSetting, ListAccountSettings."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.account_settings import DEFINITIONS
from controller.api.errors import InvalidParameterException
from controller.services.log_mode import default_log_mode
from tests.unit.api.conftest import ADMINISTRATOR, Api
from tests.unit.api.output_shapes import ecs_model

ROOT = "arn:aws:iam::000000000000:root"
ROLE = "arn:aws:iam::000000000000:role/builder"
INSIGHTS = "containerInsights"


async def values(api: Api, **members: Any) -> dict[str, str]:
    """Names and values of the settings that a list shows, all pages of it."""
    found: dict[str, str] = {}
    while True:
        answer = await api.call("ListAccountSettings", **members)
        found |= {setting["name"]: setting["value"] for setting in answer["settings"]}
        if "nextToken" not in answer:
            return found
        members["nextToken"] = answer["nextToken"]


def test_every_setting_of_the_model_is_known() -> None:
    assert set(DEFINITIONS) == set(ecs_model().shape_for("SettingName").enum)


async def test_without_settings_the_defaults_hold(api: Api) -> None:
    assert await values(api) == {}
    effective = await values(api, effectiveSettings=True)
    assert effective == {name: definition.default for name, definition in DEFINITIONS.items()}
    assert effective["taskLongArnFormat"] == "enabled"
    (managed,) = (await api.call("ListAccountSettings", effectiveSettings=True, name="guardDutyActivate"))[
        "settings"
    ]
    assert managed == {
        "name": "guardDutyActivate",
        "value": "off",
        "principalArn": ROOT,
        "type": "aws_managed",
    }


async def test_a_principals_own_setting_goes_before_the_default(api: Api) -> None:
    await api.call("PutAccountSettingDefault", name=INSIGHTS, value="enabled")
    own = await api.call("PutAccountSetting", name=INSIGHTS, value="enhanced")
    assert own["setting"] == {
        "name": INSIGHTS,
        "value": "enhanced",
        "principalArn": ADMINISTRATOR.arn,
        "type": "user",
    }
    assert await values(api) == {INSIGHTS: "enhanced"}
    assert await values(api, principalArn=ROOT) == {INSIGHTS: "enabled"}
    assert (await values(api, effectiveSettings=True))[INSIGHTS] == "enhanced"
    assert (await values(api, effectiveSettings=True, principalArn=ROLE))[INSIGHTS] == "enabled"
    deleted = await api.call("DeleteAccountSetting", name=INSIGHTS)
    assert deleted["setting"]["value"] == "enabled"
    assert deleted["setting"]["principalArn"] == ADMINISTRATOR.arn
    assert await values(api) == {}


async def test_another_principals_setting_can_be_put_and_deleted(api: Api) -> None:
    await api.call("PutAccountSetting", name=INSIGHTS, value="enabled", principalArn=ROLE)
    assert await values(api) == {}
    assert await values(api, principalArn=ROLE) == {INSIGHTS: "enabled"}
    await api.call("DeleteAccountSetting", name=INSIGHTS, principalArn=ROLE)
    assert await values(api, principalArn=ROLE) == {}


async def test_settings_are_filtered_by_name_and_value_and_come_in_pages(api: Api) -> None:
    disabled = {"effectiveSettings": True, "name": "awsvpcTrunking"}
    assert await values(api, **disabled, value="disabled") == {"awsvpcTrunking": "disabled"}
    assert await values(api, **disabled, value="enabled") == {}
    first = await api.call("ListAccountSettings", effectiveSettings=True, maxResults=3)
    assert [setting["name"] for setting in first["settings"]] == sorted(DEFINITIONS)[:3]
    second = await api.call("ListAccountSettings", effectiveSettings=True, nextToken=first["nextToken"])
    assert [setting["name"] for setting in second["settings"]] == sorted(DEFINITIONS)[3:]


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("PutAccountSetting", {"name": "colour", "value": "red"}, r"colour should be one of \[.*taskLongArn"),
        ("PutAccountSetting", {"name": INSIGHTS, "value": "on"}, "containerInsights should be one of"),
        ("PutAccountSetting", {"name": "fargateTaskRetirementWaitPeriod", "value": "8"}, "one of .0,7,14"),
        ("PutAccountSettingDefault", {"name": "guardDutyActivate", "value": "on"}, "read-only"),
        (
            "PutAccountSettingDefault",
            {"name": "taskLongArnFormat", "value": "disabled"},
            "You can no longer disable",
        ),
        ("PutAccountSetting", {"name": "defaultLogDriverMode", "value": "off"}, "one of .blocking,non-block"),
        ("PutAccountSetting", {"name": INSIGHTS, "value": "enabled", "principalArn": "x"}, "ARN provided"),
        (
            "PutAccountSetting",
            {"name": INSIGHTS, "value": "enabled", "principalArn": ROLE.replace(":0000", ":1111")},
            "of this account",
        ),
        ("DeleteAccountSetting", {"name": INSIGHTS, "principalArn": f"{ROOT}s"}, "of this account"),
        ("ListAccountSettings", {"value": "enabled"}, "A name must be specified"),
        ("ListAccountSettings", {"maxResults": 11}, "maxResults should be between 1 and 10"),
    ],
)
async def test_bad_settings_are_refused(
    api: Api, operation: str, members: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidParameterException, match=message):
        await api.call(operation, **members)
    assert await values(api) == {}


async def test_the_mode_of_log_drivers_is_the_principals_own_else_the_root_users_else_ecs(api: Api) -> None:
    name = "defaultLogDriverMode"
    assert (await values(api, effectiveSettings=True))[name] == "non-blocking"
    assert default_log_mode(api.state.read(), ADMINISTRATOR.arn) == "non-blocking"
    await api.call("PutAccountSettingDefault", name=name, value="blocking")
    assert default_log_mode(api.state.read(), ADMINISTRATOR.arn) == "blocking"
    await api.call("PutAccountSetting", name=name, value="non-blocking")
    assert default_log_mode(api.state.read(), ADMINISTRATOR.arn) == "non-blocking"
    assert default_log_mode(api.state.read(), ROLE) == "blocking"
