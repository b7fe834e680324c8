"""Operations on AWS's own infrastructure. Here they never will be; each says what to use instead.

A list of such resources is empty, which is the truth, and keeps tools going that look at everything.
"""

from __future__ import annotations

from controller.api.context import Handler, RequestContext
from controller.api.paging import page
from controller.state.entities import Document

_GATEWAYS = (
    "gateways are part of AWS's network; publish host ports and put a load balancer of your own before them"
)
_EXPRESS_SERVICES = (
    "express services are built of AWS's load balancers and roles; "
    "use RegisterTaskDefinition and CreateService"
)
_DAEMONS = (
    "managed daemons run on AWS's managed instances only; "
    "use CreateService with schedulingStrategy DAEMON on your container instances"
)
_DAEMON_TASK_DEFINITIONS = (
    "daemon task definitions belong to managed daemons; "
    "use RegisterTaskDefinition and a service with schedulingStrategy DAEMON"
)

REFUSED: dict[str, str] = {
    "AssociateGatewayWithCluster": _GATEWAYS,
    "CreateDaemon": _DAEMONS,
    "CreateExpressGatewayService": _EXPRESS_SERVICES,
    "CreateGateway": _GATEWAYS,
    "DeleteDaemon": _DAEMONS,
    "DeleteDaemonTaskDefinition": _DAEMON_TASK_DEFINITIONS,
    "DeleteExpressGatewayService": _EXPRESS_SERVICES,
    "DeleteGateway": _GATEWAYS,
    "DescribeDaemon": _DAEMONS,
    "DescribeDaemonDeployments": _DAEMONS,
    "DescribeDaemonRevisions": _DAEMONS,
    "DescribeDaemonTaskDefinition": _DAEMON_TASK_DEFINITIONS,
    "DescribeExpressGatewayService": _EXPRESS_SERVICES,
    "DescribeGateway": _GATEWAYS,
    "DescribeGatewayResources": _GATEWAYS,
    "DescribeGatewayRoute": _GATEWAYS,
    "DisassociateGatewayFromCluster": _GATEWAYS,
    "RegisterDaemonTaskDefinition": _DAEMON_TASK_DEFINITIONS,
    "UpdateDaemon": _DAEMONS,
    "UpdateExpressGatewayService": _EXPRESS_SERVICES,
    "UpdateGateway": _GATEWAYS,
}
"""Operations that are refused whatever they are given, with the reason and what to use instead."""

EMPTY_LISTS: dict[str, str] = {
    "ListDaemonDeployments": "daemonDeployments",
    "ListDaemonTaskDefinitions": "daemonTaskDefinitions",
    "ListDaemons": "daemonSummariesList",
    "ListGatewayClusterAssociations": "gatewayClusterAssociations",
    "ListGatewayRoutes": "gatewayRoutes",
    "ListGateways": "gateways",
}
"""Operations whose answer is an empty list, with the member that holds it."""


def _empty_list(operation: str, member: str) -> Handler:
    def list_nothing(_context: RequestContext, request: Document) -> Document:
        found, _ = page(
            (),
            request.get("nextToken"),
            request.get("maxResults"),
            default=100,
            maximum=100,
            operation=operation,
        )
        return {member: found}

    return list_nothing


OPERATIONS: dict[str, Handler] = {
    operation: _empty_list(operation, member) for operation, member in EMPTY_LISTS.items()
}
