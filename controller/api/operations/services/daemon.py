"""What the scheduling strategy DAEMON leaves no choice in."""

from __future__ import annotations

from controller.api.errors import InvalidParameterException
from controller.services.task_sets import has_external_controller
from controller.state.entities import Document

DAEMON = "DAEMON"
DAEMON_MINIMUM_HEALTHY_PERCENT = 0
DAEMON_MAXIMUM_PERCENT = 100
"""Defaults of a daemon service; it cannot have another maximum."""


def check_daemon(request: Document) -> None:
    """A request about a daemon service asks for nothing that such a service cannot have.

    Raises:
        InvalidParameterException: it does.
    """
    if "desiredCount" in request:
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support a desired count for services. Remove the "
            "desired count value and try again"
        )
    if request.get("placementStrategy"):
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support placement strategies: it has one task on each "
            "container instance."
        )
    if has_external_controller(request):
        raise InvalidParameterException(
            "The daemon scheduling strategy is only for services with the deployment controller ECS."
        )
    if request.get("launchType") == "FARGATE":
        raise InvalidParameterException("The daemon scheduling strategy does not support FARGATE.")
    maximum = request.get("deploymentConfiguration", {}).get("maximumPercent", DAEMON_MAXIMUM_PERCENT)
    if maximum != DAEMON_MAXIMUM_PERCENT:
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support a maximumPercent other than 100."
        )
