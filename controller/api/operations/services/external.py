"""What services with the deployment controller EXTERNAL leave to their task sets."""

from __future__ import annotations

from controller.api.errors import InvalidParameterException, UnsupportedFeatureException
from controller.services.task_sets import has_external_controller, is_external
from controller.state.entities import Document, Service

_OF_TASK_SETS = {
    "taskDefinition": "TaskDefinition",
    "launchType": "LaunchType",
    "capacityProviderStrategy": "CapacityProviderStrategy",
    "networkConfiguration": "NetworkConfiguration",
    "platformVersion": "PlatformVersion",
}
"""Members that each task set has for itself, and what messages call them."""


def check_external(request: Document) -> None:
    """A CreateService request leaves to the task sets what is theirs.

    Raises:
        InvalidParameterException: it does not.
    """
    for member, name in _OF_TASK_SETS.items():
        if request.get(member):
            raise InvalidParameterException(f"{name} must be blank.")


def check_external_update(request: Document) -> None:
    """An UpdateService request changes nothing that only another task set changes.

    Raises:
        InvalidParameterException: it does.
    """
    for member in _OF_TASK_SETS:
        if request.get(member):
            raise InvalidParameterException(
                f"Unable to update {member} on services with an EXTERNAL deployment controller. Use "
                "CreateTaskSet."
            )
    if request.get("forceNewDeployment"):
        raise InvalidParameterException(
            "Cannot force a new deployment on services with an EXTERNAL deployment controller. Use "
            "CreateTaskSet."
        )


def check_controller(service: Service, request: Document) -> None:
    """An UpdateService request leaves the deployment controller as it is.

    Raises:
        UnsupportedFeatureException: it does not.
    """
    if "deploymentController" in request and has_external_controller(request) != is_external(service):
        raise UnsupportedFeatureException(
            "Another deployment controller for a service is not available on this controller: create a "
            "service with it and delete this one."
        )
