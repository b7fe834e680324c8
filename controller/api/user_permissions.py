"""What the access keys of people and their tools may do: one table of roles and operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.authentication import AGENT_OPERATIONS, denied
from controller.api.context import RequestContext
from controller.api.identifiers import cluster_name
from controller.api.task_permissions import clusters_named
from controller.roles.permissions import SCOPES, SETS
from controller.state.entities import Role

_SEEING = {f"ecs:{name}" for name in SETS["viewer"]} | {
    "ecs:DescribeCapacityProviders",
    "ecs:ListAccountSettings",
    "ecs:ListClusters",
    "ecs:ListDaemonDeployments",
    "ecs:ListDaemonTaskDefinitions",
    "ecs:ListDaemons",
    "ecs:ListGatewayClusterAssociations",
    "ecs:ListGatewayRoutes",
    "ecs:ListGateways",
    "ecs:ListServicesByNamespace",
    "homeport:DescribeTls",
    "homeport:ListQuarantinedTasks",
}
_DEPLOYING = {f"ecs:{name}" for name in SETS["deployer"]} | {
    "ecs:ContinueServiceDeployment",
    "ecs:DeleteTaskDefinitions",
    "ecs:ExecuteCommand",
    "homeport:ListSecrets",
    "homeport:ListTaskRoles",
}

ROLE_OPERATIONS: Mapping[Role, frozenset[str] | None] = {
    "administrator": None,
    "deployer": frozenset(_SEEING | _DEPLOYING),
    "viewer": frozenset(_SEEING),
    "agent": frozenset(f"ecs:{name}" for name in AGENT_OPERATIONS),
}
"""The operations of each role, as `service:Operation`; None: all. Everybody may ask STS who they are.

A deployer runs tasks, and so can give them every role and every secret that there is: the role is for those
who may know them. Agents are bound to their cluster, deployers and viewers where their key says so."""


def authorise_user(context: RequestContext, service: str, operation: str, request: Any) -> None:
    """Check that a deployer or a viewer may do an operation. A key that is limited to a cluster is good
    only for what names that cluster, and for task definitions, which belong to none.

    Raises:
        AccessDeniedException: they may not.
        InvalidParameterException, ClusterNotFoundException: an ARN cannot be read, or is another account's.
    """
    caller, action = context.caller, f"{service}:{operation}"
    permitted = ROLE_OPERATIONS[caller.role] if caller.role != "task" else frozenset()
    if permitted is not None and action not in permitted:
        raise denied(caller, action)
    if caller.cluster is not None and not _is_in_its_cluster(context, service, operation, request):
        raise denied(caller, action)


def _is_in_its_cluster(context: RequestContext, service: str, operation: str, request: Any) -> bool:
    if service == "ecs" and operation in SCOPES:
        return set(clusters_named(context, operation, request)) <= {context.caller.cluster}
    if operation == "ListQuarantinedTasks":
        return cluster_name(context, request.cluster) == context.caller.cluster
    return False
