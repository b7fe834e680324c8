"""What CreateService and UpdateService ask for that this controller cannot do.

Everything that would change what runs is refused by name: nothing of that kind is accepted and then ignored.
"""

from __future__ import annotations

from controller.api.errors import UnsupportedFeatureException
from controller.state.entities import Document

_LISTS = {
    "loadBalancers": "publish fixed host ports, or find the tasks' ports with DescribeTasks",
    "serviceRegistries": "find the tasks' addresses with DescribeTasks",
    "volumeConfigurations": "use a docker volume or a host path in the task definition",
    "vpcLatticeConfigurations": "publish fixed host ports",
    "gatewayConnectors": "publish fixed host ports",
}
"""Members that ask for something only when they are not empty, and what to use instead."""


def refuse_unsupported(request: Document) -> None:
    """Raise UnsupportedFeatureException for the first thing that cannot be done."""
    for member, alternative in _LISTS.items():
        if request.get(member):
            raise _unsupported(member, alternative)
    if "role" in request:
        raise _unsupported("role", "a service without load balancers needs none")
    if request.get("serviceConnectConfiguration", {}).get("enabled"):
        raise _unsupported("serviceConnectConfiguration", "publish fixed host ports")
    controller = request.get("deploymentController", {}).get("type", "ECS")
    if controller == "CODE_DEPLOY":
        raise _unsupported("The deployment controller CODE_DEPLOY", "use ECS, or EXTERNAL with task sets")
    if request.get("schedulingStrategy") == "DAEMON" and request.get("capacityProviderStrategy"):
        raise _unsupported("capacityProviderStrategy of a daemon service", "use placementConstraints")
    if request.get("availabilityZoneRebalancing") == "ENABLED":
        raise _unsupported("availabilityZoneRebalancing", "use a spread placement strategy and DISABLED")
    _refuse_in_deployment_configuration(request.get("deploymentConfiguration", {}))


def _refuse_in_deployment_configuration(configuration: Document) -> None:
    strategy = configuration.get("strategy", "ROLLING")
    if strategy != "ROLLING":
        raise _unsupported(f"The deployment strategy {strategy}", "use ROLLING")
    if configuration.get("alarms", {}).get("enable"):
        raise _unsupported("deploymentConfiguration.alarms", "use deploymentCircuitBreaker")
    for member in ("lifecycleHooks", "linearConfiguration", "canaryConfiguration", "earlySuccessCriteria"):
        if configuration.get(member):
            raise _unsupported(f"deploymentConfiguration.{member}", "leave it out")


def _unsupported(feature: str, alternative: str) -> UnsupportedFeatureException:
    return UnsupportedFeatureException(f"{feature} is not available on this controller: {alternative}.")
