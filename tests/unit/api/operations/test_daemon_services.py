"""Daemon services: what CreateService and UpdateService take for them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import InvalidParameterException, UnsupportedFeatureException

BASE = {"serviceName": "web", "taskDefinition": "web", "schedulingStrategy": "DAEMON"}
ONLY_OF_CREATION = {"launchType", "deploymentController"}
"""Members that no update changes, of any service."""


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"desiredCount": 0}, InvalidParameterException, "does not support a desired count"),
        (
            {"placementStrategy": [{"type": "random"}]},
            InvalidParameterException,
            "does not support placement strategies",
        ),
        (
            {"deploymentController": {"type": "EXTERNAL"}},
            InvalidParameterException,
            "deployment controller ECS",
        ),
        ({"launchType": "FARGATE"}, InvalidParameterException, "does not support FARGATE"),
        (
            {"deploymentConfiguration": {"maximumPercent": 150}},
            InvalidParameterException,
            "maximumPercent other than 100",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            UnsupportedFeatureException,
            "use placementConstraints",
        ),
    ],
)
async def test_what_a_daemon_service_cannot_have_is_refused(
    api: Any, register: Any, members: dict[str, Any], error: type[Exception], message: str
) -> None:
    await register()
    with pytest.raises(error, match=message):
        await api("CreateService", **BASE, **members)
    await api("CreateService", **BASE)
    if not members.keys() & ONLY_OF_CREATION:
        with pytest.raises(error, match=message):
            await api("UpdateService", service="web", **members)


async def test_it_has_defaults_of_its_own_and_repeating_its_creation_answers_it(
    api: Any, register: Any
) -> None:
    await register()
    first = (await api("CreateService", **BASE))["service"]
    assert (first["schedulingStrategy"], first["desiredCount"]) == ("DAEMON", 0)
    percentages = first["deploymentConfiguration"]
    assert (percentages["minimumHealthyPercent"], percentages["maximumPercent"]) == (0, 100)
    assert (await api("CreateService", **BASE))["service"] == first
    updated = await api("UpdateService", service="web", deploymentConfiguration={"minimumHealthyPercent": 50})
    assert updated["service"]["deploymentConfiguration"]["minimumHealthyPercent"] == 50
    assert (await api("DeleteService", service="web"))["service"]["status"] == "DRAINING"
