"""A service's settings: defaults, checks, and how an update changes them."""

from __future__ import annotations

import re

from controller.api.errors import InvalidParameterException
from controller.services.task_sets import has_external_controller
from controller.state.entities import Document

DEFAULT_MAXIMUM_PERCENT = 200
DEFAULT_MINIMUM_HEALTHY_PERCENT = 100
KEPT_MEMBERS = (
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "platformVersion",
    "deploymentController",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "monitoring",
)
"""Members that a service keeps and answers as given."""

_SERVICE_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CLIENT_TOKEN = re.compile(r"[!-~]{0,36}")
_MINIMUM_PERCENTS = range(101)
_BAKE_TIMES = range(1441)
_PERCENTAGES = ("minimumHealthyPercent", "maximumPercent")
_NEUTRAL = {"availabilityZoneRebalancing": "DISABLED"}
"""Values that mean the default; false and what is empty always do."""


def check_service_name(name: str) -> None:
    """1 to 255 letters, numbers, hyphens and underscores.

    Raises:
        InvalidParameterException: it is something else.
    """
    if not name:
        raise InvalidParameterException("Service name must not be blank.")
    if not _SERVICE_NAME.fullmatch(name):
        raise InvalidParameterException(
            "Service name contains invalid characters. Up to 255 letters (uppercase and lowercase), "
            "numbers, underscores, and hyphens are allowed."
        )


def check_client_token(request: Document) -> None:
    """At most 36 printable characters.

    Raises:
        InvalidParameterException: it is something else.
    """
    if not _CLIENT_TOKEN.fullmatch(request.get("clientToken", "")):
        raise InvalidParameterException("clientToken should be at most 36 characters between '!' and '~'.")


def desired_count_of(request: Document) -> int:
    """The desired count of a REPLICA service, which is required unless its controller is EXTERNAL.

    Raises:
        InvalidParameterException: it is missing or negative.
    """
    desired: int | None = request.get("desiredCount")
    if desired is None and has_external_controller(request):
        return 0
    if desired is None:
        raise InvalidParameterException(
            "The desired count is required for services with the REPLICA scheduling strategy."
        )
    if desired < 0:
        raise InvalidParameterException("The desired count cannot be negative.")
    return desired


def grace_period_of(request: Document, default: int) -> int:
    """healthCheckGracePeriodSeconds.

    Raises:
        InvalidParameterException: it is negative.
    """
    seconds: int = request.get("healthCheckGracePeriodSeconds", default)
    if seconds < 0:
        raise InvalidParameterException("healthCheckGracePeriodSeconds should be between 0 and 2147483647.")
    return seconds


def percentages_of(request: Document, minimum: int, maximum: int) -> tuple[int, int]:
    """minimumHealthyPercent and maximumPercent that a request asks for; else those given here.

    Raises:
        InvalidParameterException: they are out of range.
    """
    configuration = request.get("deploymentConfiguration", {})
    minimum = configuration.get("minimumHealthyPercent", minimum)
    maximum = configuration.get("maximumPercent", maximum)
    if minimum not in _MINIMUM_PERCENTS:
        raise InvalidParameterException("minimumHealthyPercent should be between 0 and 100.")
    if maximum < 1 or maximum < minimum:
        raise InvalidParameterException(
            "maximumPercent should be above 0 and at least minimumHealthyPercent."
        )
    return minimum, maximum


def check_rolling(request: Document, *, external: bool) -> None:
    """What watches a rolling update: deploymentCircuitBreaker has a threshold that failures can reach,
    bakeTimeInMinutes is at most a day, and there are such updates.

    Raises:
        InvalidParameterException: it is not so.
    """
    configuration = request.get("deploymentConfiguration", {})
    breaker = configuration.get("deploymentCircuitBreaker", {})
    minutes = configuration.get("bakeTimeInMinutes", 0)
    if minutes not in _BAKE_TIMES:
        raise InvalidParameterException("bakeTimeInMinutes should be between 0 and 1440.")
    if minutes and external:
        raise InvalidParameterException(
            "A bake time is only for services with the deployment controller ECS."
        )
    if breaker.get("enable") and external:
        raise InvalidParameterException(
            "The deployment circuit breaker is only for services with the deployment controller ECS."
        )
    if breaker.get("thresholdConfiguration", {}).get("value", 1) < 1:
        raise InvalidParameterException("The value of thresholdConfiguration should be above 0.")


def options_of(request: Document, present: Document) -> Document:
    """The members that a service keeps as given: a request's over the present ones.

    Values that mean the default are left out, so that giving them and leaving them out is the same.
    """
    given = {member: request[member] for member in KEPT_MEMBERS if member in request}
    configuration = {
        **present.get("deploymentConfiguration", {}),
        **request.get("deploymentConfiguration", {}),
    }
    rest = {member: value for member, value in configuration.items() if member not in _PERCENTAGES}
    options = {**present, **given, "deploymentConfiguration": rest}
    return {member: value for member, value in options.items() if value and value != _NEUTRAL.get(member)}
